import { checkAllFinite } from "../base/check.js";
import { refusal } from "../base/errors.js";

/**
 * Says why the kernels refused x: which of its elements is not finite, or else that x A overflows.
 * @param row the refused row of a batch [rows, width], 0 for a single vector
 */
export function refuseInput(x: Float32Array, row = 0, width = x.length): never {
  checkAllFinite(x.subarray(row * width, (row + 1) * width), row === 0 ? "x" : `x, row ${row}, element `);
  throw refusal("update-overflow", "x", "is so large that x A exceeds float32", "Scale the input down");
}
