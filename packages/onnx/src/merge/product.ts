import { OnnxError } from "../base/errors.js";
import type { Module } from "../graft/modules.js";

/** A change to merge into one module: its weight becomes W + scaling A B. A `LoraAdapter` is one. */
export interface LowRankChange {
  /** Name of the module. */
  readonly module: string;
  /** Width of the input. */
  readonly inFeatures: number;
  /** Width of the output. */
  readonly outFeatures: number;
  /** Rank of A and B. */
  readonly rank: number;
  /** The factor of the product. */
  readonly scaling: number;
  /** [rank, inFeatures] */
  readonly loraA: Float32Array;
  /** [rank, outFeatures] */
  readonly loraB: Float32Array;
  /** Refused: a graph need not have a place for it. */
  readonly bias?: Float32Array | undefined;
}

/** A change as left^T right: [rank, rows] and [rank, columns] of a matrix. */
export interface Factors {
  readonly rank: number;
  readonly rows: number;
  readonly columns: number;
  readonly left: Float32Array;
  readonly right: Float32Array;
  readonly scaling: number;
}

/** The change of a whole weight, in which a part of a packed projection has its place. */
export function factorsOf(module: Module, lora: LowRankChange, isInOut: boolean, sign: 1 | -1): Factors {
  const { rank, loraA, inFeatures } = lora;
  const width = module.slice?.whole ?? module.outFeatures;
  const outputs = new Float32Array(rank * width);
  for (let r = 0; r < rank; r++) {
    let from = r * lora.outFeatures;
    for (const [start, count] of module.slice?.ranges ?? [[0, lora.outFeatures] as const]) {
      outputs.set(lora.loraB.subarray(from, from + count), r * width + start);
      from += count;
    }
  }
  const [left, right] = isInOut ? [loraA, outputs] : [outputs, loraA];
  const [rows, columns] = isInOut ? [inFeatures, width] : [width, inFeatures];
  return { rank, rows, columns, left, right, scaling: sign * lora.scaling };
}

/** Adds the change to some rows of a matrix, in float64. @param first of the rows */
export function addProduct(data: Float64Array, first: number, factors: Factors): void {
  const { rank, rows, columns, left, right, scaling } = factors;
  for (let row = 0; row * columns < data.length; row++) {
    for (let r = 0; r < rank; r++) {
      const factor = scaling * left[r * rows + first + row]!;
      if (factor === 0) continue;
      for (let column = 0; column < columns; column++)
        data[row * columns + column]! += factor * right[r * columns + column]!;
    }
  }
}

/** @throws OnnxError `not-finite` */
export function checkMerged(name: string, dtype: string, data: Float64Array): void {
  if (data.every(Number.isFinite)) return;
  const problem = `a merged weight is not a finite ${dtype}`;
  throw new OnnxError("not-finite", moduleNamed(name), problem, "Merge an adapter with smaller weights");
}

/** How an error names a module. */
export function moduleNamed(name: string): string {
  return `module ${JSON.stringify(name)}`;
}
