import { describe, expect, test } from "vitest";
import { floats } from "../base/samples.test-support.js";
import { KERNELS_NAMES } from "../kernels/contract.js";
import { trainedLora } from "./adapters.test-support.js";
import type { LoraAdapter } from "./lora-adapter.js";
import { apart, flatOf, parametersOf } from "./reference.test-support.js";

/** The flat gradient [A, B, bias] of one example, in float64. */
function gradient64(adapter: LoraAdapter, x: Float32Array, g: Float32Array): Float64Array {
  const { rank, inFeatures, outFeatures, scaling, a, b } = parametersOf(adapter);
  const gradA: number[] = [];
  const gradB: number[] = [];
  for (let r = 0; r < rank; r++) {
    const u = x.reduce((sum, xi, i) => sum + xi * a[r * inFeatures + i]!, 0);
    const v = g.reduce((sum, go, o) => sum + go * b[r * outFeatures + o]!, 0);
    for (const xi of x) gradA.push(scaling * v * xi);
    for (const go of g) gradB.push(scaling * u * go);
  }
  return Float64Array.of(...gradA, ...gradB, ...(adapter.spec.bias ? g : []));
}

/** Online EWC by its definition, in float64, on weights that follow the adapter's own. */
class Ewc64 {
  readonly fisher: Float64Array;
  running: Float64Array;
  anchor: Float32Array | undefined;

  constructor(readonly adapter: LoraAdapter) {
    this.fisher = new Float64Array(adapter.paramCount);
    this.running = new Float64Array(adapter.paramCount);
  }

  track(g: Float64Array): void {
    const { fisherDecay } = this.adapter.spec;
    this.running = this.running.map((f, i) => fisherDecay * f + (1 - fisherDecay) * g[i]! ** 2);
  }

  /** The weights after one step from where the adapter is. */
  step(g: Float64Array, rate: number, learningRate: number): Float64Array {
    const penalty = learningRate * this.adapter.spec.ewcLambda;
    return Float64Array.from(flatOf(this.adapter), (w, i) => {
      const pull = this.anchor === undefined ? 0 : penalty * this.fisher[i]! * (w - this.anchor[i]!);
      return w - rate * g[i]! - pull;
    });
  }

  consolidate(): void {
    for (const [i, f] of this.running.entries()) this.fisher[i]! += f;
    this.running.fill(0);
    this.anchor = flatOf(this.adapter);
  }
}

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  test.each([
    { rank: 2, bias: true },
    { rank: 3, bias: false },
  ])("weights, Fisher and anchor follow the formula over several consolidations: %o", async (shape) => {
    const learning = { learningRate: 0.05, ewcLambda: 4, fisherDecay: 0.9 };
    using lora = await trainedLora({ inFeatures: 11, outFeatures: 6, ...shape, kernels, learning });
    const adapter = lora.getAdapter("m")!;
    const ewc = new Ewc64(adapter);
    for (let task = 0; task < 4; task++) {
      for (let k = 0; k < 6; k++) {
        const [x, gradient] = [floats(11, 100 * task + k), floats(6, 200 * task + k)];
        const reward = k % 2 === 0 ? 1 : -0.5;
        const g = gradient64(adapter, x, gradient);
        const expected = ewc.step(g, 0.05 * reward, 0.05);
        ewc.track(g);
        lora.learn(x, { gradient, reward, module: "m" });
        expect(apart(flatOf(adapter), expected, 1e-6)).toEqual([]);
        expect(apart(adapter.learningBlock("fisherRunning")!, ewc.running, 1e-5)).toEqual([]);
      }
      ewc.consolidate();
      lora.consolidate();
      expect(apart(adapter.learningBlock("fisher")!, ewc.fisher, 1e-5)).toEqual([]);
      expect([...adapter.learningBlock("anchor")!]).toEqual([...flatOf(adapter)]);
      expect(adapter.learningBlock("fisherRunning")).toBeUndefined();
    }
  });

  test.each([0, 1e-20, 1e-24])(
    "where gradients vanish (%d), the Fisher decays to 0, and is never a denormal",
    async (size) => {
      using lora = await trainedLora({ hiddenSize: 7, bias: true, kernels, learning: { fisherDecay: 0.9 } });
      const adapter = lora.getAdapter("m")!;
      const ewc = new Ewc64(adapter);
      for (let k = 0; k < 3000; k++) {
        const [x, gradient] = [floats(7, k), floats(7, k + 9, k < 10 ? 1 : size)];
        ewc.track(gradient64(adapter, x, gradient));
        if (k % 2 === 0) lora.learn(x, { gradient, module: "m" });
        else lora.adapt(x, { gradient });
        const running = adapter.learningBlock("fisherRunning")!;
        const wrong = (f: number, i: number) => !(Math.abs(f - ewc.running[i]!) <= 1e-4 * ewc.running[i]! + 1e-28);
        if (k < 200) expect(running.some(wrong)).toBe(false);
      }
      for (let k = 3000; k < 3072; k++) lora.learn(floats(7, k), { gradient: floats(7, k, size), module: "m" });
      expect(adapter.learningBlock("fisherRunning")!.some((f) => f !== 0)).toBe(false);
    },
  );

  test("accumulated gradients feed the Fisher one example at a time, without their rewards", async () => {
    using lora = await trainedLora({ hiddenSize: 7, bias: true, kernels, learning: { fisherDecay: 0.8 } });
    const adapter = lora.getAdapter("m")!;
    const ewc = new Ewc64(adapter);
    for (let k = 0; k < 4; k++) {
      const [x, gradient] = [floats(7, k), floats(7, k + 9)];
      ewc.track(gradient64(adapter, x, gradient));
      lora.adapt(x, { gradient, reward: k - 1.5 > 0 ? 0.1 : -1 });
    }
    expect(apart(adapter.learningBlock("fisherRunning")!, ewc.running, 1e-5)).toEqual([]);
    const running = adapter.learningBlock("fisherRunning")!.slice();
    lora.applyUpdates(0.1);
    expect([...adapter.learningBlock("fisherRunning")!]).toEqual([...running]);
  });

  test("there is no penalty before the first consolidation", async () => {
    const learned = async (ewcLambda: number) => {
      const learning = { ewcLambda, learningRate: 0.1 };
      using lora = await trainedLora({ hiddenSize: 9, bias: true, kernels, learning });
      for (let k = 0; k < 5; k++) lora.learn(floats(9, k), { gradient: floats(9, k + 9) });
      return [...flatOf(lora.getAdapter("m")!)];
    };
    expect(await learned(1000)).toEqual(await learned(0));
  });

  test("a penalty pulls back to the anchor", async () => {
    const learning = { ewcLambda: 5, learningRate: 0.05, fisherDecay: 0 };
    using lora = await trainedLora({ hiddenSize: 5, kernels, learning });
    const adapter = lora.getAdapter("m")!;
    const [x, gradient] = [floats(5, 1), floats(5, 2)];
    lora.learn(x, { gradient });
    lora.consolidate();
    const anchor = flatOf(adapter);
    const distance = () => Math.hypot(...flatOf(adapter).map((w, i) => w - anchor[i]!));
    lora.learn(x, { gradient });
    const away = distance();
    for (let k = 0; k < 20; k++) lora.learn(x, { gradient, reward: 0 });
    expect(away).toBeGreaterThan(0);
    expect(distance()).toBeLessThan(away);
  });
});

test.each(KERNELS_NAMES)("a penalty of any strength stops at the anchor, %s kernels", async (kernels) => {
  const learning = { ewcLambda: 1e20, learningRate: 0.05, fisherDecay: 0 };
  using lora = await trainedLora({ hiddenSize: 5, kernels, learning });
  const adapter = lora.getAdapter("m")!;
  lora.learn(floats(5, 1), { gradient: floats(5, 2) });
  lora.consolidate();
  const anchor = flatOf(adapter);
  adapter.loraB.set(floats(10, 8));
  lora.learn(floats(5, 1), { gradient: floats(5, 2), reward: 0 });
  expect(apart(flatOf(adapter), anchor, 1e-6)).toEqual([]);
});

test("lambda 0 keeps no Fisher information and no anchor", async () => {
  using lora = await trainedLora({ hiddenSize: 5, learning: { ewcLambda: 0 } });
  lora.learn(floats(5, 1), { gradient: floats(5, 2) });
  const used = lora.runtime.usedBytes;
  lora.consolidate();
  lora.learn(floats(5, 1), { gradient: floats(5, 2) });
  const adapter = lora.getAdapter("m")!;
  expect(adapter.learningBlock("fisherRunning")).toBeUndefined();
  expect(adapter.learningBlock("fisher")).toBeUndefined();
  expect(adapter.learningBlock("anchor")).toBeUndefined();
  expect(lora.runtime.usedBytes).toBe(used);
});
