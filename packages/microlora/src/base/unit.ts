import { checkAllFinite } from "./check.js";

/** Euclidean norm of a vector, summed in float64: exact enough for any float32 values, NaN or infinite if one of them is. */
export function norm(vector: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < vector.length; i++) squares += vector[i]! * vector[i]!;
  return Math.sqrt(squares);
}

/**
 * Writes a vector at unit length to `target` from index `at` on; a zero vector stays zero.
 * @throws MicroLoraError `not-finite`; nothing is written then
 */
export function writeUnit(vector: Float32Array, target: Float32Array, at: number, where: string): void {
  const length = norm(vector);
  if (!Number.isFinite(length)) checkAllFinite(vector, where);
  for (let i = 0; i < vector.length; i++) target[at + i] = vector[i]! / (length || 1);
}
