import { checkAllFinite, checkFloats } from "../base/check.js";
import { refusal, shown } from "../base/errors.js";
import type { Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";
import { Limits } from "./limits.js";

/** How base weights lie in memory, row after row: [in, out], or [out, in] as PyTorch's Linear has them. */
export type WeightLayout = "in-out" | "out-in";

/** A weight that a delta is added to. */
export interface MergeTarget {
  /** Required, since a square matrix hides a transposition. */
  readonly layout: WeightLayout;
  /** Base bias [outFeatures], which takes the adapter's; required if the adapter has one. */
  readonly bias?: Float32Array;
}

/** The part of a `LoraAdapter` that is merged. */
interface Merged {
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly pointers: { readonly loraA: Pointer; readonly loraB: Pointer; readonly bias: Pointer };
  readonly scaling: number;
  readonly runtime: Runtime;
}

/** Floats of base weights that go through the memory at a time, where they do not lie in it. */
const CHUNK = 65_536;

/** weights += sign * scaling * A B, and the bias likewise; checks everything before it writes. */
export function merge(adapter: Merged, weights: Float32Array, target: MergeTarget, sign: 1 | -1): void {
  const { inFeatures, outFeatures, rank, runtime, pointers } = adapter;
  const inOut = checkTarget(adapter, weights, target);
  checkSums(adapter, weights, target.bias);
  const [rows, cols] = inOut ? [inFeatures, outFeatures] : [outFeatures, inFeatures];
  const [coef, basis] = inOut ? [pointers.loraA, pointers.loraB] : [pointers.loraB, pointers.loraA];
  const scaling = sign * adapter.scaling;
  const inPlace = weights.buffer === runtime.buffer;
  const chunk = inPlace ? rows : Math.min(rows, Math.max(1, Math.floor(CHUNK / cols)));
  for (let row = 0; row < rows; row += chunk) {
    const count = Math.min(chunk, rows - row);
    const part = weights.subarray(row * cols, (row + count) * cols);
    const y = runtime.scratch.output.place(part);
    runtime.kernels.merge(y, count, cols, coef + 4 * row, rows, basis, rank, scaling);
    if (!inPlace) part.set(runtime.f32.subarray(y >>> 2, (y >>> 2) + part.length));
  }
  const bias = biasOf(adapter);
  if (bias !== undefined) for (let o = 0; o < outFeatures; o++) target.bias![o]! += sign * bias[o]!;
}

function checkTarget(adapter: Merged, weights: Float32Array, target: MergeTarget): boolean {
  const layout: unknown = target?.layout;
  if (layout !== "in-out" && layout !== "out-in") {
    throw refusal("invalid-config", "layout", `is ${shown(layout)}`, 'Pass "in-out" or "out-in"');
  }
  checkFloats(weights, adapter.inFeatures * adapter.outFeatures, "weights");
  checkAllFinite(weights, "weights");
  if (adapter.pointers.bias !== 0) {
    if (target.bias === undefined) {
      throw refusal(
        "invalid-config",
        "bias",
        "is missing, but the adapter has one",
        "Pass the base layer's bias, or an array of zeros to receive it",
      );
    }
    checkFloats(target.bias, adapter.outFeatures, "bias");
    checkAllFinite(target.bias, "bias");
  }
  return layout === "in-out";
}

/** Refuses sums that float32 may not hold, by the largest magnitudes on either side. */
function checkSums(adapter: Merged, weights: Float32Array, baseBias: Float32Array | undefined): void {
  const { rank, inFeatures, outFeatures, runtime, pointers } = adapter;
  const bias = biasOf(adapter);
  const a = runtime.kernels.maxAbs(pointers.loraA, rank * inFeatures);
  const b = runtime.kernels.maxAbs(pointers.loraB, rank * outFeatures);
  const scaling = Math.abs(adapter.scaling);
  const sum = Math.max(largest(weights) + scaling * rank * a * b, scaling * a, scaling * b);
  const biases = bias === undefined ? 0 : largest(bias) + largest(baseBias!);
  if (Math.max(sum, biases) <= Limits.FLOAT32) return;
  throw refusal(
    "update-overflow",
    sum <= Limits.FLOAT32 ? "bias" : "weights",
    "the merged ones may exceed float32",
    "Reset the adapter: its weights have grown far beyond use",
  );
}

function largest(values: Float32Array): number {
  let max = 0;
  for (let i = 0; i < values.length; i++) max = Math.max(max, Math.abs(values[i]!));
  return max;
}

function biasOf({ pointers, outFeatures, runtime }: Merged): Float32Array | undefined {
  return pointers.bias === 0 ? undefined : runtime.view(pointers.bias, outFeatures);
}
