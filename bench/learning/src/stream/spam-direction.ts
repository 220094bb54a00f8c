import type { Mail } from "./mails.js";

const EPOCHS = 200;
const LEARNING_RATE = 20;

/** The unit vector along which spam lies: logistic regression without an offset, by gradient descent. */
export function spamDirection(mails: readonly Mail[]): Float32Array {
  const weights = new Float64Array(mails[0]?.vector.length ?? 0);
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    const gradient = new Float64Array(weights.length);
    for (const { vector, spam } of mails) {
      const score = vector.reduce((sum, value, i) => sum + value * weights[i]!, 0);
      const excess = 1 / (1 + Math.exp(-score)) - Number(spam);
      for (let i = 0; i < gradient.length; i++) gradient[i]! += (excess * vector[i]!) / mails.length;
    }
    for (let i = 0; i < weights.length; i++) weights[i]! -= LEARNING_RATE * gradient[i]!;
  }
  const norm = Math.hypot(...weights);
  return Float32Array.from(weights, (weight) => weight / norm);
}
