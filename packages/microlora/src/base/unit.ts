import { checkAllFinite } from "./check.js";

/** A length that differs less from 1 is that of a unit vector, rounded to float32. */
const ROUNDING = 1e-6;

/** Euclidean norm of a vector, summed in float64: exact enough for any float32 values, NaN or infinite if one of them is. */
export function norm(vector: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < vector.length; i++) squares += vector[i]! * vector[i]!;
  return Math.sqrt(squares);
}

/**
 * Writes a vector at unit length to `target` from index `at` on. A unit vector is copied to the bit, and a zero vector stays zero.
 * @throws MicroLoraError `not-finite`; nothing is written then
 */
export function writeUnit(vector: Float32Array, target: Float32Array, at: number, where: string): void {
  const length = norm(vector);
  if (!Number.isFinite(length)) checkAllFinite(vector, where);
  if (length === 0 || Math.abs(length - 1) < ROUNDING) target.set(vector, at);
  else for (let i = 0; i < vector.length; i++) target[at + i] = vector[i]! / length;
}

/** A vector at unit length: itself if it has it. @throws MicroLoraError `not-finite` */
export function unitOf(vector: Float32Array, where: string): Float32Array {
  if (Math.abs(norm(vector) - 1) < ROUNDING) return vector;
  const unit = new Float32Array(vector.length);
  writeUnit(vector, unit, 0, where);
  return unit;
}
