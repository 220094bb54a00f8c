import { expect, test } from "vitest";
import { floats } from "../base/samples.test-support.js";
import { reinforceGradient, writeNoise } from "./exploration.js";
import { cosine64 } from "./feedback/reference.test-support.js";

const N = 6;
const SCALE = 0.05;
const y = floats(N, 1);
const wanted = floats(N, 2);
/** A smooth quality, as a user would tell it. */
const quality = (output: ArrayLike<number>) => (1 + cosine64(output, wanted)) / 2;

/** dquality/dy by central differences. */
function slopes(): number[] {
  const h = 1e-5;
  const at = (i: number, step: number) => quality(Float64Array.from(y, (v, j) => v + (i === j ? step : 0)));
  return Array.from(y, (_, i) => (at(i, h) - at(i, -h)) / (2 * h));
}

test("on average, a score's gradient is the true one, whatever the baseline, and a good baseline makes it less noisy", () => {
  const samples = 40_000;
  const spreads = [quality(y), 0].map((baseline) => {
    const sum = new Float64Array(N);
    const squares = new Float64Array(N);
    const noise = new Float32Array(N);
    const gradient = new Float32Array(N);
    for (let k = 0; k < samples; k++) {
      writeNoise(noise, 7, k);
      const score = quality(y.map((v, i) => v + SCALE * noise[i]!));
      reinforceGradient(noise, SCALE, score - baseline, gradient);
      for (let i = 0; i < N; i++) {
        sum[i]! += gradient[i]!;
        squares[i]! += gradient[i]! ** 2;
      }
    }
    const errors = squares.map((square, i) => Math.sqrt((square / samples - (sum[i]! / samples) ** 2) / samples));
    // Curvature moves the mean by the square of the scale.
    for (const [i, slope] of slopes().entries()) {
      expect(Math.abs(sum[i]! / samples + slope)).toBeLessThan(4.5 * errors[i]! + 2 * SCALE ** 2);
    }
    return Math.hypot(...errors);
  });
  expect(spreads[0]!).toBeLessThan(spreads[1]! / 4);
});

test("the noise is standard normal", () => {
  const noise = new Float32Array(100_000);
  writeNoise(noise, 3, 1);
  const mean = (of: (v: number) => number) => noise.reduce((sum, v) => sum + of(v), 0) / noise.length;
  expect(Math.abs(mean((v) => v))).toBeLessThan(0.02);
  expect(Math.abs(mean((v) => v * v) - 1)).toBeLessThan(0.03);
  expect(Math.abs(mean((v) => Number(Math.abs(v) < 1)) - 0.6827)).toBeLessThan(0.01);
});
