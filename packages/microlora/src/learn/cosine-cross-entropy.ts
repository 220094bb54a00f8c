import type { Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";

/**
 * Softmax cross-entropy over the cosine scores of what was shown, and its exact gradient at the query (InfoNCE with
 * explicit candidates: van den Oord et al. 2018, eq. 4).
 *
 * With y^ = y / |y|, s_j = y^ . d_j and p = softmax(s / temperature): loss = -log p_chosen,
 * h = sum_j (p_j - [j = chosen]) d_j / temperature, and dLoss/dy = (h - (h . y^) y^) / |y|.
 *
 * @param y the query [n], not zero; @param documents unit vectors [n]; @param chosen index among them
 * @param gradient [n], written
 * @returns the loss in nats
 */
export function cosineCrossEntropy(
  runtime: Runtime,
  y: Pointer,
  n: number,
  documents: readonly Pointer[],
  chosen: number,
  temperature: number,
  gradient: Pointer,
): number {
  const { kernels, f32 } = runtime;
  const norm = Math.sqrt(kernels.sumSquares(y, n));
  const scores = runtime.scratch.rows.reserve(documents.length) >>> 2;
  let highest = Number.NEGATIVE_INFINITY;
  for (let j = 0; j < documents.length; j++) {
    kernels.project(documents[j]!, y, (scores + j) << 2, 1, n);
    f32[scores + j]! /= norm * temperature;
    highest = Math.max(highest, f32[scores + j]!);
  }
  const chosenScore = f32[scores + chosen]! - highest;
  let sum = 0;
  let others = 0;
  for (let j = 0; j < documents.length; j++) {
    const weight = Math.exp(f32[scores + j]! - highest);
    f32[scores + j] = weight;
    sum += weight;
    if (j !== chosen) others += weight;
  }
  f32.fill(0, gradient >>> 2, (gradient >>> 2) + n);
  for (let j = 0; j < documents.length; j++) {
    const excess = j === chosen ? -others : f32[scores + j]!;
    f32[scores + j] = excess / (sum * temperature);
    kernels.expandAdd((scores + j) << 2, documents[j]!, gradient, 1, n);
  }
  kernels.project(gradient, y, scores << 2, 1, n);
  f32[scores] = -f32[scores]! / (norm * norm);
  kernels.expandAdd(scores << 2, y, gradient, 1, n);
  for (let i = gradient >>> 2; i < (gradient >>> 2) + n; i++) f32[i]! /= norm;
  return Math.log(sum) - chosenScore;
}
