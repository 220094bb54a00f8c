import type { Pointer } from "./contract.js";

/**
 * Kernels over rows in few bits: keys are int8 codes with a float32 scale each, values int16 codes of one unit that the caller knows.
 * Implementations: `rows-scalar.ts` and `assembly/rows.ts`. Widths n are multiples of 8; what a caller's vectors have less is zeros.
 */
export interface RowKernels {
  /** u[j] = scales[j] * sum_i keys[j, i] * x[i] for j < rows. @param keys int8 [rows, n]; @param scales [rows]; @param u [rows], written */
  projectKeys(keys: Pointer, scales: Pointer, x: Pointer, u: Pointer, rows: number, n: number): void;
  /**
   * Rounds x to int8: codes = round(x / scale), scale = max |x| / 127, halves to even.
   * @param key int8 [n], written; @param x [n] @returns the scale
   */
  writeKey(key: Pointer, x: Pointer, n: number): number;
  /** y[i] += factor * value[i]. @param value int16 [n]; @param y [n] */
  addValue(value: Pointer, y: Pointer, n: number, factor: number): void;
  /**
   * value <- round(v), with v = keep * value + step * g, shortened to the length `most` where it is longer; halves to even, codes beyond
   * int16 at its ends. All in units of the codes.
   * @param value int16 [n]; @param g [n]
   * @returns 1, or 0 if the square of v's length exceeds float32, in which case the value is untouched
   */
  moveValue(value: Pointer, g: Pointer, n: number, keep: number, step: number, most: number): number;
}
