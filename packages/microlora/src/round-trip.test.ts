import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { MicroLoraConfig } from "./adapter/config.js";
import { MicroLora } from "./adapter/micro-lora.js";
import { expectRejection, expectSameBytes } from "./base/refusals.test-support.js";
import { floats } from "./base/samples.test-support.js";
import { forge, partsOf, withHeader } from "./checkpoint/forge.test-support.js";
import { KERNELS_NAMES } from "./kernels/contract.js";
import { Learner } from "./learner/learner.js";

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
const rank = fc.integer({ min: 1, max: 5 });
const alpha = fc.double({ min: -8, max: 8, noNaN: true });
const configs: fc.Arbitrary<MicroLoraConfig> = fc
  .record({
    rank,
    alpha,
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
    modules: fc.uniqueArray(
      fc.tuple(fc.string({ minLength: 1, unit: "grapheme" }), width, width, fc.option(rank), fc.option(alpha)),
      {
        minLength: 1,
        maxLength: 3,
        selector: ([module]) => module,
      },
    ),
  })
  .map(({ modules, baseModel, ...config }) => ({
    ...config,
    ...(baseModel !== undefined && { baseModel }),
    targetModules: modules.map(([module]) => module),
    dimensions: Object.fromEntries(
      modules.map(([name, inFeatures, outFeatures]) => [name, { inFeatures, outFeatures }]),
    ),
    rankPattern: Object.fromEntries(modules.flatMap(([name, , , own]) => (own === null ? [] : [[name, own]]))),
    alphaPattern: Object.fromEntries(modules.flatMap(([name, , , , own]) => (own === null ? [] : [[name, own]]))),
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

/** The file that an older program wrote of the same state, where one rank and one alpha are for all modules. */
function asOfVersion(version: number, bytes: Uint8Array): Uint8Array {
  return withHeader(forge({ ...partsOf(bytes), version }), (header) => {
    const { rank, alpha } = header.config.modules[0];
    header.config = { rank, alpha, ...header.config };
    for (const module of header.config.modules) {
      delete module.rank;
      delete module.alpha;
    }
    if (version > 1) return;
    for (const key of ["clipNorm", "optimizer", "ewc", "schedule"]) delete header.config.learning[key];
    for (const adapter of header.adapters) delete adapter.updates;
  });
}

test.each([1, 2])("a file of version %i still opens, and is written anew as version 3", async (version) => {
  using lora = await MicroLora.create({ hiddenSize: 5, rank: 3, alpha: 0.5, kernels: "simd" });
  lora.learn(floats(5, 1), { gradient: floats(5, 2) });
  const current = lora.toBytes();
  const old = asOfVersion(version, current);
  expect(partsOf(old).version).toBe(version);
  using back = await MicroLora.fromBytes(old, { kernels: "simd" });
  expectSameBytes(back.toBytes(), current);
  const mixed = withHeader(old, (header) => void Object.assign(header.config.modules[0], { rank: 3 }));
  await expectRejection(MicroLora.fromBytes(mixed), "corrupt-checkpoint", "header");
});

test("a learner of version 2 still opens", async () => {
  using lora = await MicroLora.create({ hiddenSize: 5, targetModules: ["m"], kernels: "simd" });
  const learner = new Learner(lora, { replay: { bytes: 1000 } });
  learner.learn({ x: floats(5, 1) }, { chosen: floats(5, 2), shown: [floats(5, 2), floats(5, 3)] });
  const current = learner.toBytes();
  const old = withHeader(forge({ ...partsOf(current), version: 2 }), ({ lora: { config } }) => {
    for (const key of ["rank", "alpha"]) delete config.modules[0][key];
    const rest = { ...config };
    for (const key of Object.keys(config)) delete config[key];
    Object.assign(config, { rank: 2, alpha: 4, ...rest });
  });
  const back = await Learner.fromBytes(old, { kernels: "simd" });
  expectSameBytes(back.toBytes(), current);
  back.lora[Symbol.dispose]();
});
