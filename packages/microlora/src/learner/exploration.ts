import { randomUint32 } from "../base/random.js";

/** What is known of one user's scores across requests. */
export interface Baseline {
  readonly count: number;
  readonly mean: number;
  readonly variance: number;
}

export const NO_BASELINE: Baseline = { count: 0, mean: 0, variance: 0 };

/** Share of the newest score in the running baseline, once there are more than its inverse. */
const SHARE = 0.05;

/** The baseline after one more score: a mean, then a moving one, so that it follows the user. */
export function withScore({ count, mean, variance }: Baseline, score: number): Baseline {
  const share = Math.max(SHARE, 1 / (count + 1));
  const apart = score - mean;
  return { count: count + 1, mean: mean + share * apart, variance: (1 - share) * (variance + share * apart * apart) };
}

/**
 * How much better than usual a score is, in units of its usual spread: (q - baseline) / sd, with the baseline of the requests
 * before it, which the noise of this one does not depend on, so that the estimate stays unbiased (Williams 1992, section 4). 0 for
 * the first two scores, which have nothing to be compared with.
 */
export function advantageOf({ count, mean, variance }: Baseline, score: number): number {
  const spread = Math.sqrt(variance);
  if (count < 2 || spread === 0) return 0;
  return Math.max(-LARGEST, Math.min(LARGEST, (score - mean) / spread));
}

/** Beyond it an advantage counts as this much: one freak score is not to undo a day. */
const LARGEST = 3;

/**
 * Standard normal noise as a function of (seed, index), by Box and Muller's transform (1958).
 * @param target written
 */
export function writeNoise(target: Float32Array, seed: number, index: number): void {
  for (let i = 0; i < target.length; i += 2) {
    const u = (randomUint32(seed, index, i) + 1) / 2 ** 32;
    const angle = (2 * Math.PI * randomUint32(seed, index, i + 1)) / 2 ** 32;
    const radius = Math.sqrt(-2 * Math.log(u));
    target[i] = radius * Math.cos(angle);
    if (i + 1 < target.length) target[i + 1] = radius * Math.sin(angle);
  }
}

/**
 * The score-function estimate of the gradient of -E[quality] at the output: with output = y + scale * noise, d log N / dy = noise /
 * scale, so dLoss/dy = -advantage * noise / scale (REINFORCE: Williams 1992, eq. 11 for Gaussian units). Its variance grows with the
 * width, so it wants many more requests than a gradient.
 */
export function reinforceGradient(noise: Float32Array, scale: number, advantage: number, gradient: Float32Array): void {
  for (let i = 0; i < noise.length; i++) gradient[i] = (-advantage * noise[i]!) / scale;
}
