import { describe, expect, test } from "vitest";
import { expectRefusal, expectSameBytes } from "../base/refusals.test-support.js";
import { floats } from "../base/samples.test-support.js";
import { KERNELS_NAMES } from "../kernels/contract.js";
import { Runtime, sharedRuntime } from "../kernels/runtime.js";
import { EwcState } from "./ewc-state.js";
import { MicroLora } from "./micro-lora.js";

const N = 12;
const x = floats(N, 1);
const gradient = floats(N, 2);

/** Two modules of different outputs, both with weights that do something. */
async function make(kernels: (typeof KERNELS_NAMES)[number] = "simd"): Promise<MicroLora> {
  const lora = await MicroLora.create({
    inFeatures: N,
    targetModules: ["square", "wide"],
    outFeatures: N,
    dimensions: { wide: { inFeatures: N, outFeatures: 30 } },
    kernels,
  });
  for (const module of ["square", "wide"]) {
    const adapter = lora.getAdapter(module)!;
    adapter.loraB.set(floats(adapter.loraB.length, 3));
  }
  return lora;
}

/** Every way to learn, in one module. */
function liveWith(lora: MicroLora, module: string): void {
  const adapter = lora.getAdapter(module)!;
  for (let k = 0; k < 3; k++) lora.learn(x, { gradient, module });
  adapter.learning.allowConsolidation();
  adapter.learning.consolidate();
  lora.learn(x, { gradient, module, reward: -0.5 });
  lora.adapt(x, { gradient, module });
  lora.applyUpdates();
  const ewc = EwcState.fromAdapter(adapter);
  lora.adapt(x, { gradient, module });
  lora.applyUpdatesWithEwc(0.01, new Map([[module, ewc]]), 2);
  lora.adapt(x, { gradient, module });
}

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  test("a module's delta has the module's own width", async () => {
    using lora = await make(kernels);
    expect(lora.forward(x, "square")).toHaveLength(N);
    expect(lora.forward(x, "wide")).toHaveLength(30);
    expect(lora.forward(x, "wide").some((y) => y !== 0)).toBe(true);
  });

  test("disabled: zeros of the module's width, nothing added, nothing learned, nothing counted", async () => {
    using lora = await make(kernels);
    lora.enabled = false;
    const before = lora.toBytes();
    expect([...lora.forward(x, "wide")]).toEqual([...new Float32Array(30)]);
    const output = floats(30, 4);
    expect(lora.forwardAdd(x, "wide", output)).toBeUndefined();
    expect([...output]).toEqual([...floats(30, 4)]);
    const quiet = { loss: null, boundary: false, rolledBack: false };
    const nothing = { applied: false, reason: "disabled", gradientNorm: 0, ...quiet };
    expect(lora.learn(x, { gradient, module: "square" })).toEqual(nothing);
    expect(lora.learn(x, { gradient })).toEqual(nothing);
    lora.adapt(x, { gradient });
    expect(lora.toBytes()).toEqual(before);
    expect(lora.getAdapter("square")!.pendingUpdates).toBe(0);
    lora.enabled = true;
    expect(lora.learn(x, { gradient, module: "square" })).toMatchObject({ applied: true, reason: null });
  });

  test("modules of different rank and alpha do, together, what each does alone", async () => {
    const shared = { hiddenSize: N, kernels, bias: true, rsLora: true, seed: 3 };
    const own = { "0.q": { rank: 1, alpha: 3 }, "1.q": { rank: 5, alpha: 3 }, v: { rank: 16, alpha: -2 } };
    using together = await MicroLora.create({
      ...shared,
      alpha: 3,
      targetModules: Object.keys(own),
      rankPattern: { "0.q": 1, q: 5, v: 16 },
      alphaPattern: { v: -2 },
    });
    for (const [module, { rank, alpha }] of Object.entries(own)) {
      using alone = await MicroLora.create({ ...shared, rank, alpha, targetModules: [module] });
      for (const lora of [together, alone]) liveWith(lora, module);
      expect(together.getAdapter(module)!.scaling).toBe(alpha / Math.sqrt(rank));
      const merged = [together, alone].map((lora) => {
        const weights = floats(N * N, 6);
        lora.mergeIntoBase(module, weights, { layout: "in-out", bias: new Float32Array(N) });
        return [...weights, ...lora.forward(x, module), ...lora.getAdapter(module)!.forwardBatch(floats(2 * N, 7))];
      });
      expect(merged[0]).toEqual(merged[1]);
      const state = together.exportState().adapters.find((adapter) => adapter.module === module);
      expect(state).toEqual(alone.exportState().adapters[0]);
    }
    using back = await MicroLora.fromBytes(together.toBytes(), { kernels });
    expectSameBytes(back.toBytes(), together.toBytes());
  });

  test("without a module, all of them learn from one gradient", async () => {
    using lora = await MicroLora.create({ hiddenSize: N, kernels, targetModules: ["a", "b"] });
    const norms = ["a", "b"].map((module) => {
      const { loraB, scaling } = lora.getAdapter(module)!;
      loraB.set(floats(loraB.length, 3));
      const before = lora.forward(x, module);
      return { module, before, scaling };
    });
    const { gradientNorm } = lora.learn(x, { gradient });
    expect(gradientNorm).toBeGreaterThan(0);
    for (const { module, before } of norms) expect(lora.forward(x, module)).not.toEqual(before);
    expect(lora.adaptationCount).toBe(1);
  });
});

test("several modules change together or not at all", async () => {
  using lora = await make();
  const before = lora.toBytes();
  expectRefusal(() => lora.learn(x, { gradient }), "shape-mismatch", "gradient");
  expectRefusal(() => lora.adapt(x, { gradient }), "shape-mismatch", "gradient");
  expect(lora.toBytes()).toEqual(before);

  using pair = await MicroLora.create({ hiddenSize: N, targetModules: ["calm", "huge"] });
  pair.getAdapter("huge")!.loraB.fill(1e25);
  pair.adapt(x, { gradient: gradient.map((g) => g * 1e-10) });
  const state = pair.toBytes();
  const large = gradient.map((g) => g * 1e18);
  expectRefusal(() => pair.learn(x, { gradient: large }), "update-overflow");
  expectRefusal(() => pair.adapt(x, { gradient: large }), "update-overflow");
  expectRefusal(() => pair.applyUpdates(1e30), "update-overflow");
  expectRefusal(() => pair.applyUpdatesWithEwc(1e30, new Map(), 1), "update-overflow");
  expect(pair.toBytes()).toEqual(state);
});

test("counters count what took effect", async () => {
  using lora = await make();
  lora.forward(x, "square");
  lora.forwardAdd(x, "wide", new Float32Array(30));
  lora.learn(x, { gradient, module: "square" });
  lora.adapt(x, { gradient, module: "square" });
  expectRefusal(() => lora.forward(floats(N + 1, 1), "square"), "shape-mismatch", "x");
  expectRefusal(() => lora.learn(x, { module: "square" } as never), "nothing-to-learn-from");
  expect([lora.forwardCount, lora.adaptationCount]).toEqual([2, 2]);
  lora.reset();
  expect([lora.forwardCount, lora.adaptationCount]).toEqual([0, 0]);
});

test("an unknown module is refused everywhere", async () => {
  using lora = await make();
  const ewc = new Map([["other", EwcState.fromAdapter(lora.getAdapter("square")!)]]);
  const calls = [
    () => lora.forward(x, "other"),
    () => lora.forwardAdd(x, "other", x.slice()),
    () => lora.learn(x, { gradient, module: "other" }),
    () => lora.adapt(x, { gradient, module: "other" }),
    () => lora.mergeIntoBase("other", floats(N * N, 1), { layout: "in-out" }),
    () => lora.applyUpdatesWithEwc(0.1, ewc, 1),
  ];
  for (const call of calls) {
    expectRefusal(call, "unknown-module", "module");
    lora.enabled = !lora.enabled;
    expectRefusal(call, "unknown-module", "module");
  }
  expect(lora.getAdapter("other")).toBeUndefined();
});

test("a result stays as it was, whatever is learned later", async () => {
  using lora = await make();
  const first = lora.learn(x, { gradient, module: "square" });
  const norm = first.gradientNorm;
  const second = lora.learn(x, { gradient: gradient.map((g) => 2 * g), module: "square" });
  expect(second.gradientNorm).toBeGreaterThan(norm);
  expect(first.gradientNorm).toBe(norm);
});

test("adapt and applyUpdates come to what learn does, without a consolidation in between", async () => {
  using learned = await make();
  using adapted = await make();
  learned.learn(x, { gradient, module: "square", reward: 0.5 });
  adapted.adapt(x, { gradient, module: "square", reward: 0.5 });
  adapted.applyUpdates(learned.config.learning.learningRate);
  for (const part of ["loraA", "loraB"] as const) {
    const [a, b] = [learned.getAdapter("square")![part], adapted.getAdapter("square")![part]];
    for (const [i, value] of a.entries()) expect(b[i]).toBeCloseTo(value, 6);
  }
});

test("allocate gives zeroed buffers of the runtime's memory, and refuses what is no length", async () => {
  using lora = await make();
  const first = lora.allocate(5).fill(7);
  const buffer = lora.allocate(5);
  expect(buffer.buffer === lora.runtime.buffer).toBe(true);
  expect(first).toHaveLength(5);
  expect([...buffer]).toEqual([0, 0, 0, 0, 0]);
  expect(lora.allocate(0)).toHaveLength(0);
  for (const length of [-1, 1.5, 2 ** 31]) expectRefusal(() => lora.allocate(length), "out-of-range", "length");
  expectRefusal(() => lora.allocate(Number.NaN), "not-finite", "length");
});

test("models share the runtime of their kernels unless they are given one", async () => {
  using first = await MicroLora.create({ hiddenSize: 4, kernels: "scalar" });
  expect(first.runtime === (await sharedRuntime("scalar"))).toBe(true);
  const runtime = await Runtime.create({ kernels: "simd" });
  using second = await MicroLora.create({ hiddenSize: 4, runtime });
  expect(second.runtime === runtime).toBe(true);
  expect(second.exportState().kernels).toBe("simd");
});
