import { createRandom } from "../first-run.js";
import { type Image, PIXELS } from "./images.js";

export const HIDDEN = 128;
export const DIGITS = 10;

/** A frozen network: relu(hidden x), then output; weights row by row [out, in]. */
export interface BaseNetwork {
  readonly hidden: Float32Array;
  readonly hiddenBias: Float32Array;
  readonly output: Float32Array;
  readonly outputBias: Float32Array;
}

const EPOCHS = 6;
const LEARNING_RATE = 0.02;

/** Trains the features that stay frozen, by plain SGD on upright digits. */
export function trainBase(images: readonly Image[]): BaseNetwork {
  const random = createRandom(2);
  const uniform = (length: number, fanIn: number) =>
    Float32Array.from({ length }, () => (2 * random.next() - 1) * Math.sqrt(3 / fanIn));
  const network = {
    hidden: uniform(HIDDEN * PIXELS, PIXELS),
    hiddenBias: new Float32Array(HIDDEN),
    output: uniform(DIGITS * HIDDEN, HIDDEN),
    outputBias: new Float32Array(DIGITS),
  };
  const h = new Float32Array(HIDDEN);
  const scores = new Float32Array(DIGITS);
  const gradientH = new Float32Array(HIDDEN);
  for (let epoch = 0; epoch < EPOCHS; epoch++) {
    for (const { pixels, digit } of random.shuffle(images)) {
      affine(network.hidden, network.hiddenBias, pixels, h);
      relu(h);
      affine(network.output, network.outputBias, h, scores);
      crossEntropyGradient(scores, digit);
      gradientH.fill(0);
      transposed(network.output, scores, gradientH);
      step(network.output, network.outputBias, h, scores);
      for (let i = 0; i < HIDDEN; i++) if (h[i] === 0) gradientH[i] = 0;
      step(network.hidden, network.hiddenBias, pixels, gradientH);
    }
  }
  return network;
}

/** y <- W x + b. */
export function affine(weights: Float32Array, bias: Float32Array, x: Float32Array, y: Float32Array): void {
  const n = x.length;
  for (let row = 0; row < y.length; row++) {
    const first = row * n;
    let a = 0;
    let b = 0;
    for (let i = 0; i + 1 < n; i += 2) {
      a += weights[first + i]! * x[i]!;
      b += weights[first + i + 1]! * x[i + 1]!;
    }
    y[row] = a + b + bias[row]!;
  }
}

/** x <- x + W^T y. */
export function transposed(weights: Float32Array, y: Float32Array, x: Float32Array): void {
  const n = x.length;
  for (let row = 0; row < y.length; row++) {
    const factor = y[row]!;
    for (let i = 0; i < n; i++) x[i]! += factor * weights[row * n + i]!;
  }
}

export function relu(h: Float32Array): void {
  for (let i = 0; i < h.length; i++) if (h[i]! < 0) h[i] = 0;
}

/** Turns scores into softmax - one-hot, the gradient of the cross-entropy at them. */
export function crossEntropyGradient(scores: Float32Array, label: number): void {
  const highest = Math.max(...scores);
  let sum = 0;
  for (let i = 0; i < scores.length; i++) {
    scores[i] = Math.exp(scores[i]! - highest);
    sum += scores[i]!;
  }
  for (let i = 0; i < scores.length; i++) scores[i]! /= sum;
  scores[label]! -= 1;
}

function step(weights: Float32Array, bias: Float32Array, x: Float32Array, gradient: Float32Array): void {
  for (let row = 0; row < gradient.length; row++) {
    const factor = LEARNING_RATE * gradient[row]!;
    if (factor === 0) continue;
    bias[row]! -= factor;
    for (let i = 0; i < x.length; i++) weights[row * x.length + i]! -= factor * x[i]!;
  }
}
