import { checkFloats, checkRange } from "../base/check.js";
import { refusal } from "../base/errors.js";
import type { AdapterKernels } from "../kernels/contract.js";
import { checkAdapter, checkList, forwardEachScaled } from "./forward-each.js";
import type { LoraAdapter } from "./lora-adapter.js";

/** An adapter, and how much of what it does is added. */
export interface WeightedAdapter {
  /** The adapter that takes part. */
  readonly adapter: LoraAdapter;
  /** Any finite number: 0.5 for half of it, -1 to take it away. */
  readonly weight: number;
}

/**
 * Adds to each row of a batch the weighted sum of the deltas, biases among them, of that row's own adapters, in as many
 * kernel calls as the longest list has adapters of one shape.
 * @param rows a list for each row, empty for a row that stays as it is; ranks may differ, widths and runtime not
 * @param x [rows, inFeatures]; @param output [rows, outFeatures], untouched if anything is refused
 * @throws MicroLoraError `shape-mismatch`, `not-finite`, `out-of-range`, `disposed`
 */
export function forwardWeighted(
  rows: readonly (readonly WeightedAdapter[])[],
  x: Float32Array,
  output: Float32Array,
): void {
  for (const [row, list] of checkList(rows, "rows").entries()) {
    for (const each of checkList(list, `rows[${row}]`)) checkAdapter(each?.adapter, `rows[${row}]`);
  }
  const first = rows.flat()[0]?.adapter;
  if (first === undefined) return;
  const { inFeatures, outFeatures } = first;
  checkFloats(x, rows.length * inFeatures, "x");
  checkFloats(output, rows.length * outFeatures, "output");
  for (const { adapter, weight } of rows.flat()) {
    checkRange(weight, -1e30, 1e30, "weight");
    checkFits(adapter, first);
  }
  const sum = output.slice();
  for (const { adapters, factors } of passesOf(rows)) forwardEachScaled(adapters, factors, x, sum);
  for (const [row, list] of rows.entries()) {
    for (const { adapter, weight } of list) addBias(adapter, weight - 1, sum, row * outFeatures);
  }
  output.set(sum);
}

/** At most one adapter a row, all of one shape. */
interface Pass {
  readonly adapters: (LoraAdapter | null)[];
  readonly factors: number[];
}

/** The fewest passes in which each row meets each of its adapters once. */
function passesOf(rows: readonly (readonly WeightedAdapter[])[]): Pass[] {
  const byShape = new Map<AdapterKernels, Pass[]>();
  for (const [row, list] of rows.entries()) {
    for (const { adapter, weight } of list) {
      const passes = byShape.get(adapter.kernels) ?? [];
      byShape.set(adapter.kernels, passes);
      let pass = passes.find(({ adapters }) => adapters[row] === null);
      if (pass === undefined) {
        pass = { adapters: rows.map(() => null), factors: rows.map(() => 1) };
        passes.push(pass);
      }
      pass.adapters[row] = adapter;
      pass.factors[row] = weight;
    }
  }
  return [...byShape.values()].flat();
}

/** The kernels add a bias as it is; this adds the rest of its share. */
function addBias({ bias }: LoraAdapter, factor: number, sum: Float32Array, at: number): void {
  if (bias === undefined || factor === 0) return;
  for (let o = 0; o < bias.length; o++) sum[at + o]! += factor * bias[o]!;
}

function checkFits(adapter: LoraAdapter, first: LoraAdapter): void {
  const { inFeatures, outFeatures, runtime } = adapter;
  const fits = inFeatures === first.inFeatures && outFeatures === first.outFeatures && runtime === first.runtime;
  if (fits) return;
  throw refusal(
    "shape-mismatch",
    "adapters",
    `one of ${inFeatures} to ${outFeatures} does not go with ${first.inFeatures} to ${first.outFeatures}`,
    "Compose adapters of one module, in one runtime",
  );
}
