import { dotAt, dotRow, type Matrix } from "./matrix.js";

/** dLoss/dscore of softmax cross-entropy over scores / temperature. @param at position of the chosen item */
export function softmaxSlopes(scores: Float64Array, at: number, temperature: number): Float64Array {
  let highest = Number.NEGATIVE_INFINITY;
  for (const score of scores) highest = Math.max(highest, score);
  const slopes = scores.map((score) => Math.exp((score - highest) / temperature));
  let sum = 0;
  for (const e of slopes) sum += e;
  for (let k = 0; k < slopes.length; k++) slopes[k]! /= sum * temperature;
  slopes[at]! -= 1 / temperature;
  return slopes;
}

/** What the gradient of sum_k slopes_k cos(y, item_k) depends on. */
export interface CosineSum {
  readonly items: Matrix;
  readonly y: Float64Array;
  /** Of y. */
  readonly length: number;
  readonly shown: Int32Array;
  readonly cosines: Float64Array;
  readonly slopes: Float64Array;
}

/** Adds the gradient of sum_k slopes_k cos(y, item_k) in y. */
export function addCosineGradient(sum: CosineSum, gradient: Float64Array): void {
  const { items, y, length, shown, cosines, slopes } = sum;
  const { data, cols } = items;
  let along = 0;
  for (let k = 0; k < shown.length; k++) {
    const slope = slopes[k]! / length;
    const at = shown[k]! * cols;
    along += slope * cosines[k]!;
    for (let i = 0; i < cols; i++) gradient[i]! += slope * data[at + i]!;
  }
  for (let i = 0; i < cols; i++) gradient[i]! -= (along * y[i]!) / length;
}

/** Cosines of y with the items shown. @param length of y */
export function cosinesOf(items: Matrix, y: Float64Array, length: number, shown: Int32Array): Float64Array {
  const cosines = new Float64Array(shown.length);
  for (let k = 0; k < shown.length; k++) cosines[k] = dotRow(items, shown[k]!, y) / length;
  return cosines;
}

export function lengthOf(vector: Float64Array): number {
  return Math.sqrt(dotAt(vector, 0, vector)) || 1e-12;
}
