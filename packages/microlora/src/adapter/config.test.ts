import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expectRefusal, expectRejection } from "../base/refusals.test-support.js";
import { type MicroLoraConfig, memoryBytes, TARGET_MODULE_SETS, TARGET_MODULES } from "./config.js";
import { MicroLora } from "./micro-lora.js";

const OK = { hiddenSize: 8 };

/** Where it is refused, and what is wrong; deliberately outside the types too, since JavaScript callers have none. */
const REFUSED: readonly (readonly [where: string, config: object])[] = [
  ...[0, 65, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, "2", null].map(
    (rank) => ["q_proj.rank", { rank: rank ?? Symbol("rank") }] as const,
  ),
  ...[Number.NaN, Number.POSITIVE_INFINITY, 1e31, "4"].map((alpha) => ["q_proj.alpha", { alpha }] as const),
  ...[0, 65, -1, 1.5, Number.NaN, "2"].map((rank) => ["v_proj.rank", { rankPattern: { v_proj: rank } }] as const),
  ...[Number.NaN, 1e31, "4"].map((alpha) => ["v_proj.alpha", { alphaPattern: { v_proj: alpha } }] as const),
  ["rankPattern", { rankPattern: { k_proj: 4 } }],
  ["rankPattern", { rankPattern: { proj: 4 } }],
  ["alphaPattern", { alphaPattern: { "layers.v_proj": 4 } }],
  ...[1, -0.1, 1.5, Number.NaN].map((dropout) => ["dropout", { dropout }] as const),
  ...[-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, 5n].map((seed) => ["seed", { seed }] as const),
  ...[0, -4, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 25].map(
    (hiddenSize) => ["q_proj.inFeatures", { hiddenSize }] as const,
  ),
  ["v_proj.outFeatures", { dimensions: { v_proj: { inFeatures: 4, outFeatures: 0 } } }],
  ["rsLora", { rsLora: 1 }],
  ["bias", { bias: "yes" }],
  ["init", { init: "zeros" }],
  ["init", { init: "toString" }],
  ["init", { init: {} }],
  ["baseModel", { baseModel: 5 }],
  ["targetModules", { targetModules: [] }],
  ["targetModules", { targetModules: "everything" }],
  ["targetModules", { targetModules: "constructor" }],
  ["targetModules", { targetModules: new Set(["q_proj"]) }],
  ["targetModules", { targetModules: ["q_proj", "v_proj", "q_proj"] }],
  ["targetModules", { targetModules: ["q_proj", ""] }],
  ["targetModules", { targetModules: ["q_proj", 5] }],
  ["dimensions", { dimensions: { k_proj: { inFeatures: 4, outFeatures: 4 } } }],
  ["q_proj", { hiddenSize: undefined }],
  ["q_proj", { hiddenSize: undefined, inFeatures: 4 }],
  ["learning.learningRate", { learning: { learningRate: -0.1 } }],
  ["learning.learningRate", { learning: { learningRate: Number.NaN } }],
  ["learning.learningRate", { learning: { learningRate: Number.POSITIVE_INFINITY } }],
  ["learning.ewcLambda", { learning: { ewcLambda: -1 } }],
  ["learning.fisherDecay", { learning: { fisherDecay: 1.01 } }],
  ["learning.fisherDecay", { learning: { fisherDecay: Number.NaN } }],
  ["config.learningRate", { learningRate: 0.1 }],
  ["config.targets", { targets: ["q_proj"] }],
  ["learning.lr", { learning: { lr: 0.1 } }],
  ["learning.constructor", { learning: { constructor: 1 } }],
  ["learning", { learning: null }],
  ["dimensions", { dimensions: null }],
  ["dimensions.q_proj", { dimensions: { q_proj: null } }],
  ["rankPattern", { rankPattern: null }],
  ["alphaPattern", { alphaPattern: 4 }],
];

test.each(REFUSED)("refused at %s: %o", async (where, wrong) => {
  const config = { ...OK, ...wrong } as MicroLoraConfig;
  await expectRejection(MicroLora.create(config), "invalid-config", where);
  expectRefusal(() => memoryBytes(config), "invalid-config", where);
});

test.each([undefined, null, "q_proj", 8])("no configuration: %o", async (config) => {
  await expectRejection(MicroLora.create(config as unknown as MicroLoraConfig), "invalid-config", "config");
});

test.each([1, 2, 3, 64])("rank %i is accepted", async (rank) => {
  using lora = await MicroLora.create({ ...OK, rank });
  expect(lora.getAdapter("q_proj")!.rank).toBe(rank);
});

describe("defaults", () => {
  test("are those of the original", async () => {
    using lora = await MicroLora.create(OK);
    expect(lora.config).toMatchObject({ dropout: 0, bias: false, rsLora: false, seed: 0 });
    expect(lora.config.modules).toEqual(
      ["q_proj", "v_proj"].map((module) => ({ module, inFeatures: 8, outFeatures: 8, rank: 2, alpha: 4 })),
    );
  });

  test("the sets name known modules, and any other name is as good", async () => {
    for (const set of Object.values(TARGET_MODULE_SETS)) {
      for (const module of set) expect(TARGET_MODULES).toContain(module);
    }
    using lora = await MicroLora.create({ ...OK, targetModules: ["layers.3.mlp", "__proto__", "constructor"] });
    expect(lora.forward(new Float32Array(8), "__proto__")).toHaveLength(8);
    expect(lora.getAdapter("hasOwnProperty")).toBeUndefined();
  });
});

test("widths come from dimensions, then inFeatures and outFeatures, then hiddenSize", async () => {
  using lora = await MicroLora.create({
    hiddenSize: 8,
    outFeatures: 12,
    targetModules: ["q_proj", "v_proj"],
    dimensions: { v_proj: { inFeatures: 5, outFeatures: 3 } },
  });
  const widths = ["q_proj", "v_proj"].map((module) => lora.getAdapter(module)!);
  expect(widths.map(({ inFeatures, outFeatures }) => [inFeatures, outFeatures])).toEqual([
    [8, 12],
    [5, 3],
  ]);
});

test("rank, alpha and widths of single modules are found by name, then by the end of the path", async () => {
  using lora = await MicroLora.create({
    ...OK,
    targetModules: ["a.q_proj", "a.v_proj", "b.v_proj", "v_proj", "a.rev_proj"],
    rank: 1,
    alpha: 3,
    rankPattern: { v_proj: 4, "a.v_proj": 2, "b.v_proj": 5 },
    alphaPattern: { v_proj: 8 },
    dimensions: { q_proj: { inFeatures: 5, outFeatures: 3 } },
  });
  const adapters = lora.config.modules.map(({ module }) => lora.getAdapter(module)!);
  expect(adapters.map(({ rank, spec }) => [rank, spec.alpha])).toEqual([
    [1, 3],
    [2, 8],
    [5, 8],
    [4, 8],
    [1, 3],
  ]);
  expect(adapters.map(({ inFeatures }) => inFeatures)).toEqual([5, 8, 8, 8, 8]);
});

test("memoryBytes says before building what the adapters will hold", async () => {
  const width = fc.integer({ min: 1, max: 40 });
  const names = fc.uniqueArray(fc.constantFrom(...TARGET_MODULES, "other"), { minLength: 1 });
  await fc.assert(
    fc.asyncProperty(
      names,
      fc.integer({ min: 1, max: 64 }),
      fc.boolean(),
      fc.array(width, { minLength: 22 }),
      fc.integer({ min: 1, max: 64 }),
      run,
    ),
    { numRuns: 60, seed: 1 },
  );

  async function run(
    targetModules: string[],
    rank: number,
    bias: boolean,
    widths: number[],
    own: number,
  ): Promise<void> {
    const dimensions = Object.fromEntries(
      targetModules.map((module, i) => [module, { inFeatures: widths[2 * i]!, outFeatures: widths[2 * i + 1]! }]),
    );
    const config = { targetModules, rank, bias, dimensions, rankPattern: { [targetModules[0]!]: own } };
    using lora = await MicroLora.create(config);
    const params = targetModules.reduce((sum, module, i) => {
      const { inFeatures, outFeatures } = dimensions[module]!;
      return sum + (i === 0 ? own : rank) * (inFeatures + outFeatures) + (bias ? outFeatures : 0);
    }, 0);
    expect(lora.paramCount).toBe(params);
    expect(lora.memoryBytes).toBe(4 * params);
    expect(memoryBytes(config)).toBe(4 * params);
  }
});
