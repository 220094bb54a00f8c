import type { Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";

/** How near an output is to a candidate: y . d, or y . d / (|y| |d|). */
export type ScoreName = "dot" | "cosine";

/**
 * The scores of candidates for an output y.
 * @param y [n]; @param items [n] each, of unit length for `cosine`; @param scores written
 */
export function scoreItems(
  runtime: Runtime,
  name: ScoreName,
  y: Pointer,
  n: number,
  items: readonly Pointer[],
  scores: Float64Array,
): void {
  const { kernels, f32, scratch } = runtime;
  const score = scratch.rows.reserve(1);
  const length = name === "cosine" ? Math.sqrt(kernels.sumSquares(y, n)) || 1 : 1;
  for (let j = 0; j < items.length; j++) {
    kernels.project(items[j]!, y, score, 1, n);
    scores[j] = f32[score >>> 2]! / length;
  }
}

/**
 * dLoss/dy from dLoss/dScore. With h = sum_j dLoss/ds_j d_j it is h for `dot`, and (h - (h . y^) y^) / |y| with y^ = y / |y| for
 * `cosine`, where h . y^ = sum_j dLoss/ds_j s_j.
 * @param scores what `scoreItems` gave; @param slopes dLoss/dScore; @param gradient [n], written
 */
export function backThroughScores(
  runtime: Runtime,
  name: ScoreName,
  y: Pointer,
  n: number,
  items: readonly Pointer[],
  scores: Float64Array,
  slopes: Float64Array,
  gradient: Pointer,
): void {
  const { kernels, f32, scratch } = runtime;
  const coefficient = scratch.rows.reserve(1);
  const length = name === "cosine" ? Math.sqrt(kernels.sumSquares(y, n)) || 1 : 1;
  f32.fill(0, gradient >>> 2, (gradient >>> 2) + n);
  let along = 0;
  for (let j = 0; j < items.length; j++) {
    along += slopes[j]! * scores[j]!;
    f32[coefficient >>> 2] = slopes[j]! / length;
    kernels.expandAdd(coefficient, items[j]!, gradient, 1, n);
  }
  if (name === "dot") return;
  f32[coefficient >>> 2] = -along / (length * length);
  kernels.expandAdd(coefficient, y, gradient, 1, n);
}
