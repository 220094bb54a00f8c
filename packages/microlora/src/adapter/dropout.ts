import { randomUniform } from "../base/random.js";

/**
 * Inverted dropout: writes x with each element zeroed with probability `rate`, the others divided by 1 - rate.
 * The mask is a function of (seed, stream, step) alone, so that a gradient sees the one of its forward pass.
 * @param masked [inFeatures], written; @param stream the module's random stream; @param step examples learned so far
 */
export function dropout(
  x: Float32Array,
  masked: Float32Array,
  rate: number,
  seed: number,
  stream: number,
  step: number,
): void {
  const keep = 1 / (1 - rate);
  const maskStream = stream ^ Math.imul(step + 1, 0x9e37_79b1);
  for (let i = 0; i < x.length; i++) {
    masked[i] = randomUniform(seed, maskStream, i) < rate ? 0 : x[i]! * keep;
  }
}
