import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MicroLoraConfig } from "../adapter/config.js";
import { expectRejection, expectSameBytes } from "../base/refusals.test-support.js";
import { floats } from "../base/samples.test-support.js";
import { KERNELS_NAMES } from "../kernels/contract.js";
import { MicroLora } from "../micro-lora.js";
import { forge, partsOf, withHeader } from "./forge.test-support.js";

/** Things to do to a model, by the names under which a property test picks them. */
const ACTIONS: Readonly<Record<string, (lora: MicroLora, seed: number) => void>> = {
  learn: (lora, seed) => eachModule(lora, (module, x, gradient) => lora.learn(x, { gradient, module }), seed),
  adapt: (lora, seed) =>
    eachModule(lora, (module, x, gradient) => lora.adapt(x, { gradient, module, reward: -0.5 }), seed),
  consolidate: (lora) => lora.consolidate(),
  applyUpdates: (lora) => lora.applyUpdates(0.1),
  forward: (lora, seed) => eachModule(lora, (module, x) => lora.forward(x, module, { training: true }), seed),
  toggle: (lora) => {
    lora.enabled = !lora.enabled;
  },
};

function eachModule(
  lora: MicroLora,
  action: (module: string, x: Float32Array, gradient: Float32Array) => void,
  seed: number,
): void {
  for (const { module, inFeatures, outFeatures } of lora.config.modules) {
    action(module, floats(inFeatures, seed), floats(outFeatures, seed + 1));
  }
}

const width = fc.integer({ min: 1, max: 9 });
const configs: fc.Arbitrary<MicroLoraConfig> = fc
  .record({
    rank: fc.integer({ min: 1, max: 5 }),
    alpha: fc.double({ min: -8, max: 8, noNaN: true }),
    rsLora: fc.boolean(),
    dropout: fc.constantFrom(0, 0.1, 0.75),
    bias: fc.boolean(),
    init: fc.constantFrom("kaiming", "original"),
    seed: fc.maxSafeNat(),
    learning: fc.record({
      learningRate: fc.double({ min: 0, max: 0.2, noNaN: true }),
      ewcLambda: fc.constantFrom(0, 0.5, 3),
      fisherDecay: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
    baseModel: fc.option(fc.string({ unit: "binary" }), { nil: undefined }),
    modules: fc.uniqueArray(fc.tuple(fc.string({ minLength: 1, unit: "grapheme" }), width, width), {
      minLength: 1,
      maxLength: 3,
      selector: ([module]) => module,
    }),
  })
  .map(({ modules, baseModel, ...config }) => ({
    ...config,
    ...(baseModel !== undefined && { baseModel }),
    targetModules: modules.map(([module]) => module),
    dimensions: Object.fromEntries(
      modules.map(([name, inFeatures, outFeatures]) => [name, { inFeatures, outFeatures }]),
    ),
  }));

const lives = fc.array(fc.tuple(fc.constantFrom(...Object.keys(ACTIONS)), fc.nat({ max: 99 })), { maxLength: 12 });

function live(lora: MicroLora, life: readonly (readonly [string, number])[]): void {
  for (const [action, seed] of life) ACTIONS[action]!(lora, seed);
}

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  test("any model comes back bit for bit, and lives on as if it had never been saved", async () => {
    await fc.assert(
      fc.asyncProperty(configs, lives, lives, async (config, before, after) => {
        using lora = await MicroLora.create({ ...config, kernels });
        live(lora, before);
        const bytes = lora.toBytes();
        using back = await MicroLora.fromBytes(bytes, { kernels });
        expect(back.config).toEqual(lora.config);
        expectSameBytes(back.toBytes(), bytes);
        live(lora, after);
        live(back, after);
        expectSameBytes(back.toBytes(), lora.toBytes());
      }),
      { numRuns: 80, seed: 7 },
    );
  });
});

test("exportState and fromState are the same without the bytes, and share no memory with the model", async () => {
  using lora = await MicroLora.create({ hiddenSize: 6, bias: true, dropout: 0.5, baseModel: "mini" });
  live(lora, [
    ["learn", 1],
    ["consolidate", 0],
    ["adapt", 2],
    ["learn", 3],
  ]);
  const state = lora.exportState();
  using copy = await MicroLora.fromState(state);
  expectSameBytes(copy.toBytes(), lora.toBytes());
  const bytes = lora.toBytes();
  live(copy, [["learn", 9]]);
  expectSameBytes(lora.toBytes(), bytes);
  state.adapters[0]!.loraA.fill(5);
  expectSameBytes(lora.toBytes(), bytes);
});

test("the file says in its header what the documentation says, in one order of keys", async () => {
  using lora = await MicroLora.create({ hiddenSize: 4, rank: 1, bias: true, kernels: "scalar", baseModel: "é" });
  live(lora, [["learn", 1]]);
  const bytes = lora.toBytes();
  const parts = partsOf(bytes);
  const { adapters } = lora.exportState();
  expectSameBytes(forge({ ...parts, header: parts.header.trimEnd() }), bytes);
  expect(Object.keys(JSON.parse(parts.header) as object)).toEqual([
    "kind",
    "config",
    "kernels",
    "enabled",
    "adaptationCount",
    "forwardCount",
    "adapters",
  ]);
  const blocks = adapters.flatMap(({ loraA, loraB, bias, fisherRunning }) => [loraA, loraB, bias!, fisherRunning!]);
  expect([...parts.floats]).toEqual(blocks.flatMap((block) => [...block]));
});

test("the order of a configuration's keys, and how a state came to be, leave no mark on the bytes", async () => {
  using first = await MicroLora.create({
    hiddenSize: 4,
    rank: 3,
    seed: 5,
    learning: { ewcLambda: 2, fisherDecay: 0.5 },
  });
  using second = await MicroLora.create({
    learning: { fisherDecay: 0.5, ewcLambda: 2 },
    seed: 5,
    rank: 3,
    hiddenSize: 4,
  });
  expectSameBytes(first.toBytes(), second.toBytes());
  live(second, [
    ["learn", 1],
    ["adapt", 1],
    ["consolidate", 1],
  ]);
  second.reset();
  expectSameBytes(first.toBytes(), second.toBytes());
});

test("bytes are read from wherever they lie: a Buffer, or a view at an odd offset of something larger", async () => {
  using lora = await MicroLora.create({ hiddenSize: 5 });
  const bytes = lora.toBytes();
  const larger = new Uint8Array(bytes.length + 7);
  larger.set(bytes, 3);
  for (const view of [Buffer.from(bytes), larger.subarray(3, 3 + bytes.length)]) {
    using back = await MicroLora.fromBytes(view);
    expectSameBytes(back.toBytes(), bytes);
  }
});

test("kernels' name is that of the kernels which learned last", async () => {
  using lora = await MicroLora.create({ hiddenSize: 5, kernels: "scalar" });
  using back = await MicroLora.fromBytes(lora.toBytes(), { kernels: "simd" });
  expect(lora.exportState().kernels).toBe("scalar");
  expect(back.exportState().kernels).toBe("simd");
});

describe("the base model", () => {
  test("a mismatch is wrong-base unless it is overridden", async () => {
    using lora = await MicroLora.create({ hiddenSize: 5, baseModel: "minilm@1" });
    const bytes = lora.toBytes();
    await expectRejection(MicroLora.fromBytes(bytes, { baseModel: "minilm@2" }), "wrong-base", "baseModel");
    await expectRejection(MicroLora.fromState(lora.exportState(), { baseModel: "" }), "wrong-base", "baseModel");
    for (const options of [{}, { baseModel: "minilm@1" }, { baseModel: "minilm@2", allowWrongBase: true }]) {
      using back = await MicroLora.fromBytes(bytes, options);
      expectSameBytes(back.toBytes(), bytes);
    }
  });
});

test("a file of version 1, which had no choice of methods, still opens, and is written anew as version 2", async () => {
  using lora = await MicroLora.create({ hiddenSize: 5, kernels: "simd" });
  lora.learn(floats(5, 1), { gradient: floats(5, 2) });
  const current = lora.toBytes();
  const old = withHeader(forge({ ...partsOf(current), version: 1 }), (header) => {
    for (const key of ["clipNorm", "optimizer", "ewc", "schedule"]) delete header.config.learning[key];
    for (const adapter of header.adapters) delete adapter.updates;
  });
  expect(partsOf(old).version).toBe(1);
  using back = await MicroLora.fromBytes(old, { kernels: "simd" });
  expectSameBytes(back.toBytes(), current);
});
