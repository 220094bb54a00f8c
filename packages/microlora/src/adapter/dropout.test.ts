import { describe, expect, test } from "vitest";
import { floats } from "../base/samples.test-support.js";
import { KERNELS_NAMES } from "../kernels/contract.js";
import { trainedLora } from "./adapters.test-support.js";
import { dropout } from "./dropout.js";
import { apart, delta64, differences, flatOf, outside, parametersOf } from "./reference.test-support.js";

const ones = (n: number) => new Float32Array(n).fill(1);

function masked(x: Float32Array, rate: number, seed: number, stream: number, step: number): Float32Array {
  const output = new Float32Array(x.length);
  dropout(x, output, rate, seed, stream, step);
  return output;
}

test("an element is dropped or divided by 1 - rate, at the rate asked for, so that the mean stays", () => {
  for (const rate of [0.1, 0.5, 0.9]) {
    const output = masked(ones(40_000), rate, 7, 9, 0);
    const kept = output.filter((value) => value !== 0);
    expect(new Set(kept)).toEqual(new Set([Math.fround(1 / (1 - rate))]));
    expect(Math.abs(kept.length / output.length - (1 - rate))).toBeLessThan(0.012);
    const mean = output.reduce((sum, value) => sum + value, 0) / output.length;
    expect(Math.abs(mean - 1)).toBeLessThan(0.012 / (1 - rate));
  }
});

test("seed, stream and step each make another mask, uncorrelated with the first", () => {
  const first = masked(ones(4000), 0.5, 1, 2, 3);
  expect([...masked(ones(4000), 0.5, 1, 2, 3)]).toEqual([...first]);
  for (const [seed, stream, step] of [
    [2, 2, 3],
    [1 + 2 ** 32, 2, 3],
    [1, 3, 3],
    [1, 2, 4],
    [1, 2, 3 + 2 ** 16],
  ] as const) {
    const other = masked(ones(4000), 0.5, seed, stream, step);
    const same = other.filter((value, i) => value === first[i]).length / 4000;
    expect(Math.abs(same - 0.5)).toBeLessThan(0.04);
  }
});

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  const config = { inFeatures: 12, outFeatures: 5, rank: 2, bias: true, dropout: 0.4, seed: 3, kernels } as const;

  test("dropout acts in a training forward pass only", async () => {
    using lora = await trainedLora(config);
    const adapter = lora.getAdapter("m")!;
    const p = parametersOf(adapter);
    const x = floats(12, 1);
    expect(outside(lora.forward(x, "m"), delta64(p, x))).toEqual([]);
    expect(outside(lora.forward(x, "m", { training: false }), delta64(p, x))).toEqual([]);
    expect(outside(adapter.forwardBatch(x), delta64(p, x))).toEqual([]);
    const output = new Float32Array(5);
    lora.forwardAdd(x, "m", output);
    expect(outside(output, delta64(p, x))).toEqual([]);
    expect(outside(lora.forward(x, "m", { training: true }), delta64(p, x))).not.toEqual([]);
  });

  test("the mask is that of the step: the same until something is learned, then another", async () => {
    using lora = await trainedLora(config);
    using twin = await trainedLora(config);
    const x = floats(12, 1);
    const first = lora.forward(x, "m", { training: true });
    expect([...lora.forward(x, "m", { training: true })]).toEqual([...first]);
    expect([...twin.forward(x, "m", { training: true })]).toEqual([...first]);
    lora.learn(x, { gradient: new Float32Array(5) });
    expect([...lora.forward(x, "m", { training: true })]).not.toEqual([...first]);
    twin.adapt(x, { gradient: new Float32Array(5) });
    expect([...twin.forward(x, "m", { training: true })]).toEqual([...lora.forward(x, "m", { training: true })]);
  });

  test.each(["learn", "accumulateGradient"] as const)("%s sees the mask of its forward pass", async (way) => {
    using lora = await trainedLora({ ...config, learning: { learningRate: 0.125 } });
    const adapter = lora.getAdapter("m")!;
    for (let step = 0; step < 3; step++) {
      const x = floats(12, step);
      const p = parametersOf(adapter);
      const kept = Float64Array.from(mask(p, adapter.step), (factor, i) => factor * x[i]!);
      const output = lora.forward(x, "m", { training: true });
      expect(outside(output, delta64(p, kept))).toEqual([]);
      const before = flatOf(adapter);
      const expected = differences(p, true, (moved) =>
        delta64(moved, kept).values.reduce((sum, y) => sum + y ** 2 / 2, 0),
      );
      if (way === "learn") lora.learn(x, { gradient: output });
      else adapter.accumulateGradient(x, output);
      const actual =
        way === "learn" ? flatOf(adapter).map((w, i) => (before[i]! - w) / 0.125) : adapter.learningBlock("pending")!;
      expect(apart(actual, expected, 2e-5)).toEqual([]);
      if (way === "accumulateGradient") adapter.applyGradients(0.1);
    }

    /** The mask of a step, read off single elements of a training pass: one input at a time is on. */
    function mask({ inFeatures }: { inFeatures: number }, step: number): number[] {
      const bias = adapter.forward(new Float32Array(inFeatures));
      return Array.from({ length: inFeatures }, (_, i) => {
        const x = new Float32Array(inFeatures);
        x[i] = 1;
        expect(adapter.step).toBe(step);
        const dropped = [...adapter.forward(x, { training: true })].every((y, o) => y === bias[o]);
        return dropped ? 0 : 1 / 0.6;
      });
    }
  });
});
