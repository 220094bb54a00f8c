import { describe, expect, test } from "vitest";
import { floats } from "../base/samples.test-support.js";
import { KERNELS_NAMES } from "../kernels/contract.js";
import { fill, trainedLora } from "./adapters.test-support.js";
import { MicroLora } from "./micro-lora.js";
import {
  apart,
  delta64,
  differences,
  flatOf,
  outside,
  type Parameters64,
  parametersOf,
} from "./reference.test-support.js";

/** Half the squared distance to a target: its gradient at the output is output - target. */
function halfSquares(output: ArrayLike<number>, target: Float32Array): number {
  return target.reduce((sum, t, o) => sum + (output[o]! - t) ** 2 / 2, 0);
}

/** dLoss/dOutput of `halfSquares`, as a caller would hand it in. */
function gradientAt(p: Parameters64, x: ArrayLike<number>, target: Float32Array): Float32Array {
  return target.map((t, o) => delta64(p, x).values[o]! - t);
}

const SHAPES = [1, 2, 3, 8].flatMap((rank) => [
  { rank, inFeatures: 5, outFeatures: 9, bias: true },
  { rank, inFeatures: 13, outFeatures: 13, bias: false },
]);

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  describe.each(SHAPES)("rank $rank, $inFeatures to $outFeatures, bias $bias", (shape) => {
    const { inFeatures, outFeatures, bias } = shape;
    const x = floats(inFeatures, 3);
    const target = floats(outFeatures, 4, 2);

    /** What the loss's own finite differences say of one example. */
    const expectedOf = (p: Parameters64) =>
      differences(p, bias, (moved) => halfSquares(delta64(moved, x).values, target));

    test("accumulateGradient agrees with finite differences", async () => {
      using lora = await trainedLora({ ...shape, kernels });
      const adapter = lora.getAdapter("m")!;
      const p = parametersOf(adapter);
      adapter.accumulateGradient(x, gradientAt(p, x, target));
      expect(apart(adapter.learningBlock("pending")!, expectedOf(p), 1e-5)).toEqual([]);
    });

    test("a step of learn agrees with finite differences, and its norm is the gradient's", async () => {
      using lora = await trainedLora({ ...shape, kernels, learning: { learningRate: 0.125 } });
      const adapter = lora.getAdapter("m")!;
      const p = parametersOf(adapter);
      const before = flatOf(adapter);
      const expected = expectedOf(p);
      const { applied, reason, gradientNorm } = lora.learn(x, { gradient: gradientAt(p, x, target), module: "m" });
      expect({ applied, reason }).toEqual({ applied: true, reason: null });
      const step = flatOf(adapter).map((w, i) => (before[i]! - w) / 0.125);
      expect(apart(step, expected, 1e-5)).toEqual([]);
      expect(gradientNorm).toBeCloseTo(Math.hypot(...expected), 3);
    });
  });

  test("applyGradients takes the mean over what was accumulated, each times its reward", async () => {
    using lora = await trainedLora({ inFeatures: 7, outFeatures: 5, bias: true, kernels });
    const adapter = lora.getAdapter("m")!;
    const p = parametersOf(adapter);
    const before = flatOf(adapter);
    const rewards = [1, -0.5, 0.25, 0];
    const sum = new Float64Array(adapter.paramCount);
    for (const [k, reward] of rewards.entries()) {
      const [x, target] = [floats(7, k), floats(5, k + 10)];
      adapter.accumulateGradient(x, gradientAt(p, x, target), reward);
      const gradient = differences(p, true, (moved) => halfSquares(delta64(moved, x).values, target));
      for (const [i, g] of gradient.entries()) sum[i]! += reward * g;
    }
    expect(adapter.pendingUpdates).toBe(4);
    adapter.applyGradients(0.1);
    expect(adapter.pendingUpdates).toBe(0);
    expect(adapter.learningBlock("pending")).toBeUndefined();
    expect(
      apart(
        flatOf(adapter),
        before.map((w, i) => w - (0.1 * sum[i]!) / 4),
        1e-6,
      ),
    ).toEqual([]);
    const after = lora.toBytes();
    adapter.applyGradients(0.1);
    expect(lora.toBytes()).toEqual(after);
  });

  test("the reward defaults to 1, and a negative one goes exactly the other way", async () => {
    const moved = async (reward: number | undefined) => {
      using lora = await trainedLora({ inFeatures: 9, outFeatures: 6, bias: true, kernels });
      const adapter = lora.getAdapter("m")!;
      const before = flatOf(adapter);
      const feedback = { gradient: floats(6, 2), module: "m", ...(reward !== undefined && { reward }) };
      lora.learn(floats(9, 1), feedback);
      return flatOf(adapter).map((w, i) => w - before[i]!);
    };
    const forwards = await moved(undefined);
    expect([...(await moved(1))]).toEqual([...forwards]);
    expect(
      apart(
        await moved(-1),
        forwards.map((d) => -d),
        1e-4,
      ),
    ).toEqual([]);
    expect((await moved(0)).every((d) => d === 0)).toBe(true);
  });

  test("learning a target from examples brings the loss down", async () => {
    using lora = await MicroLora.create({ hiddenSize: 8, bias: true, kernels, learning: { learningRate: 0.05 } });
    const x = floats(8, 1);
    const target = floats(8, 2);
    const loss = () => halfSquares(lora.forward(x, "q_proj"), target);
    const before = loss();
    for (let i = 0; i < 100; i++) {
      const gradient = lora.forward(x, "q_proj").map((y, o) => y - target[o]!);
      lora.learn(x, { gradient, module: "q_proj" });
    }
    expect(loss()).toBeLessThan(before / 100);
  });

  test("a step with the token of its forward pass has the bits of one without", async () => {
    const learned = async (keep: boolean) => {
      using lora = await trainedLora({ inFeatures: 33, outFeatures: 17, rank: 3, kernels });
      const x = floats(33, 1);
      const token = lora.forwardAdd(x, "m", new Float32Array(17), { keep: true })!;
      lora.forwardAdd(floats(33, 2), "m", new Float32Array(17));
      lora.learn(x, { gradient: floats(17, 3), module: "m" }, keep ? { token } : undefined);
      return flatOf(lora.getAdapter("m")!);
    };
    expect([...(await learned(true))]).toEqual([...(await learned(false))]);
  });
});

test("a penalty of the caller's own is lambda * fisher * (w - optimal), per unit of learning rate", async () => {
  using lora = await trainedLora({ inFeatures: 6, outFeatures: 4, bias: true });
  const adapter = lora.getAdapter("m")!;
  fill(adapter, 3);
  const p = parametersOf(adapter);
  const flat = flatOf(adapter);
  const [x, target] = [floats(6, 1), floats(4, 2)];
  const fisher = [floats(12, 5), floats(8, 6), floats(4, 7)].map((part) => part.map(Math.abs));
  const optimal = [floats(12, 8), floats(8, 9), floats(4, 10)];
  adapter.accumulateGradient(x, gradientAt(p, x, target));
  const gradient = differences(p, true, (moved) => halfSquares(delta64(moved, x).values, target));
  const [allFisher, allOptimal] = [fisher, optimal].map((parts) => parts.flatMap((part) => [...part]));
  const expected = flat.map((w, i) => w - 0.1 * (gradient[i]! + 3 * allFisher![i]! * (w - allOptimal![i]!)));
  adapter.applyGradientsWithEwc(0.1, fisher[0]!, fisher[1]!, optimal[0]!, optimal[1]!, 3, fisher[2]!, optimal[2]!);
  expect(apart(flatOf(adapter), expected, 1e-6)).toEqual([]);
  expect(outside(adapter.forward(x), delta64(parametersOf(adapter), x))).toEqual([]);
});
