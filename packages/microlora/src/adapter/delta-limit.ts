import type { LoraAdapter } from "./lora-adapter.js";

/** Far above the error of float32 sums of squares. */
const ROUNDING = 1e-3;

/** How much longer |A| |B| may be than |A B|, so that rounding of single weights cannot lift the product above a limit. */
const LARGEST_CANCELLATION = 1e3;

/** Where B alone would have to shrink to less, A shrinks with it, so that B does not end among denormals. */
const SMALLEST_FACTOR = 1e-12;

/**
 * Norm of an adapter's delta, sqrt(|scaling * A B|^2 + |bias|^2), and |scaling| |A| |B|, which bounds its first part. With A = L Q and
 * B = M P, rows of Q and P orthonormal, |A B| = |L^T M|: summed in float64, so that factors which nearly cancel are measured right.
 */
export function deltaNorm(adapter: LoraAdapter): { readonly norm: number; readonly bound: number } {
  const { rank, inFeatures, outFeatures, runtime, scaling, pointers } = adapter;
  const a = triangle(runtime.view(pointers.loraA, rank * inFeatures), rank, inFeatures);
  const b = triangle(runtime.view(pointers.loraB, rank * outFeatures), rank, outFeatures);
  let product = 0;
  for (let p = 0; p < rank; p++) {
    for (let q = 0; q < rank; q++) {
      let entry = 0;
      for (let r = Math.max(p, q); r < rank; r++) entry += a[r * rank + p]! * b[r * rank + q]!;
      product += entry * entry;
    }
  }
  const bias = pointers.bias === 0 ? 0 : squaresOf(runtime.view(pointers.bias, outFeatures));
  return {
    norm: Math.sqrt(scaling ** 2 * product + bias),
    bound: Math.abs(scaling) * Math.sqrt(squaresOf(a) * squaresOf(b)),
  };
}

/**
 * Shrinks an adapter until the norm of its delta is at most `limit`, within float32.
 * @returns whether it had to shrink
 */
export function limitDelta(adapter: LoraAdapter, limit: number): boolean {
  if (roughBound(adapter) <= limit * (1 - ROUNDING)) return false;
  const { norm, bound } = deltaNorm(adapter);
  const factor = Math.min(limit / norm, (LARGEST_CANCELLATION * limit) / bound) * (1 - 1e-6);
  if (factor >= 1 - 1e-6) return false;
  const { rank, inFeatures, outFeatures, runtime, pointers } = adapter;
  const both = factor < SMALLEST_FACTOR;
  if (both) scale(runtime.view(pointers.loraA, rank * inFeatures), Math.sqrt(factor));
  scale(runtime.view(pointers.loraB, rank * outFeatures), both ? Math.sqrt(factor) : factor);
  if (pointers.bias !== 0) scale(runtime.view(pointers.bias, outFeatures), factor);
  return true;
}

/** An upper bound of the norm by the kernels, for a fraction of its cost: |A B| <= |A| |B|. */
function roughBound({ rank, inFeatures, outFeatures, runtime, scaling, pointers }: LoraAdapter): number {
  const { kernels } = runtime;
  const { loraA, loraB, bias } = pointers;
  const factors = kernels.sumSquares(loraA, rank * inFeatures) * kernels.sumSquares(loraB, rank * outFeatures);
  return Math.sqrt(scaling ** 2 * factors + (bias === 0 ? 0 : kernels.sumSquares(bias, outFeatures)));
}

/** L of rows = L Q, lower triangular [rank, rank], by modified Gram-Schmidt (Golub & Van Loan, 5.2.8). */
function triangle(rows: Float32Array, rank: number, width: number): Float64Array {
  const rest = Float64Array.from(rows);
  const lower = new Float64Array(rank * rank);
  for (let p = 0; p < rank; p++) {
    const pivot = rest.subarray(p * width, (p + 1) * width);
    const length = Math.sqrt(squaresOf(pivot));
    lower[p * rank + p] = length;
    if (length === 0) continue;
    for (let i = 0; i < width; i++) pivot[i]! /= length;
    for (let r = p + 1; r < rank; r++) {
      let along = 0;
      for (let i = 0; i < width; i++) along += rest[r * width + i]! * pivot[i]!;
      for (let i = 0; i < width; i++) rest[r * width + i]! -= along * pivot[i]!;
      lower[r * rank + p] = along;
    }
  }
  return lower;
}

function squaresOf(values: Float32Array | Float64Array): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2;
  return sum;
}

function scale(values: Float32Array, factor: number): void {
  for (let i = 0; i < values.length; i++) values[i]! *= factor;
}
