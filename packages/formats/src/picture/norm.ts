import { type LoraTarget, scalingOf } from "./lora-file.js";

/**
 * Frobenius norm of scaling * A B, in time linear in the factors: |A B|^2 is the sum of (A A^T) * (B^T B)^T, element by
 * element, both of which are [rank, rank].
 */
export function deltaNorm(target: LoraTarget): number {
  const { rank, inFeatures, outFeatures, loraA, loraB } = target;
  let squares = 0;
  for (let r = 0; r < rank; r++) {
    for (let s = 0; s <= r; s++) {
      const product = dot(loraA, r, s, inFeatures) * dot(loraB, r, s, outFeatures);
      squares += r === s ? product : 2 * product;
    }
  }
  return Math.abs(scalingOf(target)) * Math.sqrt(Math.max(0, squares));
}

/** Of rows r and s of a matrix of this width, in float64. */
function dot(rows: Float32Array, r: number, s: number, width: number): number {
  let sum = 0;
  for (let i = 0; i < width; i++) sum += rows[r * width + i]! * rows[s * width + i]!;
  return sum;
}
