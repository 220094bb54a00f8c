import { Matrix } from "ml-matrix";
import { type LoraTarget, scalingOf } from "../picture/lora-file.js";
import { deltaNorm } from "../picture/norm.js";
import type { Operator } from "./svd.js";

/** What a target adds, [out, in], without ever being a matrix of that size. */
export function productOperator(target: LoraTarget): Operator {
  const { rank, inFeatures, outFeatures, loraA, loraB } = target;
  const a = Matrix.from1DArray(rank, inFeatures, Array.from(loraA));
  const b = Matrix.from1DArray(rank, outFeatures, Array.from(loraB)).mul(scalingOf(target));
  return {
    rows: outFeatures,
    cols: inFeatures,
    rankBound: rank,
    times: (x) => b.transpose().mmul(a.mmul(x)),
    transposedTimes: (x) => a.transpose().mmul(b.mmul(x)),
    squares: deltaNorm(target) ** 2,
  };
}

/** A matrix [rows, cols] as it is. */
export function denseOperator(values: Float64Array, rows: number, cols: number): Operator {
  return {
    rows,
    cols,
    rankBound: Math.min(rows, cols),
    times: (x) => {
      const out = new Matrix(rows, x.columns);
      forEach(values, cols, (value, r, c) => addRow(out, r, value, x, c));
      return out;
    },
    transposedTimes: (x) => {
      const out = new Matrix(cols, x.columns);
      forEach(values, cols, (value, r, c) => addRow(out, c, value, x, r));
      return out;
    },
    squares: values.reduce((sum, value) => sum + value * value, 0),
  };
}

/** Pruned matrices are mostly zeros, which are passed over. */
function forEach(values: Float64Array, cols: number, visit: (value: number, row: number, col: number) => void): void {
  for (let i = 0; i < values.length; i++) {
    if (values[i] !== 0) visit(values[i]!, Math.floor(i / cols), i % cols);
  }
}

/** out[row] += value * x[from] */
function addRow(out: Matrix, row: number, value: number, x: Matrix, from: number): void {
  for (let k = 0; k < x.columns; k++) out.set(row, k, out.get(row, k) + value * x.get(from, k));
}

/** scaling * (A B) as [out, in], in float64. */
export function denseProduct(target: LoraTarget): Float64Array {
  const { rank, inFeatures, outFeatures, loraA, loraB } = target;
  const scaling = scalingOf(target);
  const out = new Float64Array(outFeatures * inFeatures);
  for (let o = 0; o < outFeatures; o++) {
    for (let r = 0; r < rank; r++) {
      const factor = scaling * loraB[r * outFeatures + o]!;
      for (let i = 0; i < inFeatures; i++) out[o * inFeatures + i]! += factor * loraA[r * inFeatures + i]!;
    }
  }
  return out;
}
