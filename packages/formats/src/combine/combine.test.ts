import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { Matrix, SingularValueDecomposition } from "ml-matrix";
import { describe, expect, test } from "vitest";
import { expectRefusal } from "../base/refusals.test-support.js";
import { decodePeft } from "../peft/decode.js";
import { toFloats } from "../picture/floats.js";
import type { LoraFile, LoraTarget } from "../picture/lora-file.js";
import { deltaNorm } from "../picture/norm.js";
import { delta64, expectClose, fileOf, floats, sampleTarget } from "../picture/pictures.test-support.js";
import { transpose } from "../picture/transpose.js";
import { decodeSafetensors } from "../safetensors/safetensors.js";
import { COMBINATION_TYPES, type CombineOptions, combine } from "./combine.js";
import type { MaskRequest } from "./sparsify.js";
import { addLoras, averageLoras, interpolateLoras, recompress } from "./sums.js";

const fixtures = join(import.meta.dirname, "fixtures");
const expected = decodeSafetensors(readFileSync(join(fixtures, "expected.safetensors"))).tensors;
const adapter = (name: string) =>
  decodePeft({
    config: readFileSync(join(fixtures, name, "adapter_config.json")),
    weights: readFileSync(join(fixtures, name, "adapter_model.safetensors")),
  });
const [a, b, c, wide] = ["a", "b", "c", "wide"].map(adapter) as [LoraFile, LoraFile, LoraFile, LoraFile];

const WEIGHTS = [0.7, -0.4, 1.1];
const DENSITY = 0.6;

/** The factors that PEFT left under a label; ours are the transpose of its B. */
function factorsOf(label: string, { module }: LoraTarget) {
  const [loraA, loraB] = ["A", "B"].map((part) => expected.get(`${label}.${module}.${part}`)!);
  const [outFeatures = 0, rank = 0] = loraB!.shape;
  return {
    rank,
    loraA: toFloats(loraA!, module),
    loraB: transpose(toFloats(loraB!, module), outFeatures, rank),
  };
}

/** The mask that PEFT drew, in our layout. */
function maskOf(label: string) {
  return ({ module, part, adapter: index }: MaskRequest) => {
    const { data, shape } = expected.get(`${label}.${module}.mask.${part === "product" ? "delta" : part}.${index}`)!;
    const [rows = 0, cols = 0] = shape;
    return part === "B" ? transpose(Float32Array.from(data), rows, cols) : data;
  };
}

describe("what PEFT's add_weighted_adapter makes of the same adapters", () => {
  const CASES: readonly (readonly [string, readonly LoraFile[], Partial<CombineOptions>])[] = [
    ...COMBINATION_TYPES.map((type) => [type, [a, b, c], { type }] as const),
    ["ties_frequency", [a, b, c], { type: "ties", majoritySign: "frequency" }],
    ["svd_rank_1", [a, b, c], { type: "svd", rank: 1 }],
    ["cat_wide", [a, wide, b], { type: "cat" }],
    ["svd_wide", [a, wide, b], { type: "svd", rank: 3 }],
  ];

  test.each(CASES)("%s", (label, files, options) => {
    const { file } = combine(files, { weights: WEIGHTS, density: DENSITY, mask: maskOf(label), ...options });
    expect(file.targets).toHaveLength(5);
    for (const target of file.targets) {
      const theirs = factorsOf(label, target);
      const isProduct = label.includes("svd") || label.startsWith("cat");
      if (!isProduct) {
        expect(target.rank).toBe(theirs.rank);
        expectClose(target.loraA, theirs.loraA, 1e-6);
        expectClose(target.loraB, theirs.loraB, 1e-6);
      }
      // Signs and rows of zeros are free; the product is not.
      const ours = delta64(target);
      expectClose(ours, delta64({ ...target, ...theirs, alpha: theirs.rank }), 3e-6);
    }
  });
});

test("sums, means and interpolations are exact at the sum of the ranks", () => {
  const sum = (weights: readonly number[], k: number) =>
    delta64(a.targets[k]!).map((value, i) => weights[0]! * value + weights[1]! * delta64(b.targets[k]!)[i]!);
  const cases = [
    [addLoras([a, b]), [1, 1]],
    [averageLoras([a, b]), [0.5, 0.5]],
    [averageLoras([a, b], [3, 1]), [0.75, 0.25]],
    [interpolateLoras(a, b, 0.2), [0.8, 0.2]],
    [interpolateLoras(a, b, 1), [0, 1]],
  ] as const;
  for (const [{ file, errors }, weights] of cases) {
    for (const [k, target] of file.targets.entries()) {
      expect(target.rank).toBe(4);
      expectClose(delta64(target), sum(weights, k), 1e-6);
      expect(errors.get(target.module)).toBe(0);
    }
  }
});

test("a bias is combined as its output is", () => {
  const [first, second] = [floats(3, 1), floats(3, 2)];
  const files = [
    fileOf(sampleTarget("m", 1, { bias: first })),
    fileOf(sampleTarget("m", 2)),
    fileOf(sampleTarget("m", 3, { bias: second })),
  ];
  for (const type of ["cat", "svd", "ties"] as const) {
    const { file } = combine(files, { weights: [2, 1, -1], type });
    expectClose(
      file.targets[0]!.bias!,
      first.map((value, i) => 2 * value - second[i]!),
      1e-6,
    );
  }
});

const shapes = fc.record({
  rank: fc.integer({ min: 1, max: 6 }),
  inFeatures: fc.constantFrom(1, 2, 3, 7, 16, 33),
  outFeatures: fc.constantFrom(1, 2, 5, 8, 17),
  seed: fc.nat(999),
});

test("re-compression is the best there is, and tells its error: against a full decomposition", () => {
  fc.assert(
    fc.property(shapes, fc.integer({ min: 1, max: 7 }), ({ seed, ...fields }, rank) => {
      const target = sampleTarget("m", seed, fields);
      const { file, errors } = recompress(fileOf(target), rank);
      const [small] = file.targets as [LoraTarget];
      expect(small.rank).toBe(rank);
      const full = new SingularValueDecomposition(
        Matrix.from1DArray(fields.outFeatures, fields.inFeatures, Array.from(delta64(target))),
        { autoTranspose: true },
      ).diagonal;
      const squares = (values: readonly number[]) => values.reduce((sum, value) => sum + value * value, 0);
      const best = Math.sqrt(squares(full.slice(rank)) / squares(full));
      const apart = delta64(small).map((value, i) => value - delta64(target)[i]!);
      const error = Math.sqrt(squares(Array.from(apart)) / squares(full));
      expect(Math.abs(error - best)).toBeLessThan(1e-6);
      expect(Math.abs(errors.get("m")! - best)).toBeLessThan(1e-6);
    }),
    { numRuns: 100 },
  );
});

test("an adapter of zeros combines to zeros", () => {
  const zeros = fileOf(sampleTarget("m", 1, { loraB: new Float32Array(6) }));
  for (const type of COMBINATION_TYPES) {
    const { file, errors } = combine([zeros, zeros], { weights: [1, 1], type, density: 0.5 });
    expect(
      delta64(file.targets[0]!).every((value) => value === 0),
      type,
    ).toBe(true);
    expect(errors.get("m")).toBe(0);
  }
});

test("DARE draws the same for the same seed, keeps the share asked for, and stays right on average", () => {
  const big = fileOf(sampleTarget("m", 1, { inFeatures: 300, outFeatures: 200 }));
  const draw = (seed: number) =>
    combine([big], { type: "dare_linear", weights: [1], density: 0.3, seed }).file.targets[0]!;
  expect(draw(1)).toEqual(draw(1));
  expect(draw(1)).not.toEqual(draw(2));
  const kept = draw(1).loraA.filter((value) => value !== 0).length / 600;
  expect(Math.abs(kept - 0.3)).toBeLessThan(0.08);
});

test("the norm is that of the product", () => {
  fc.assert(
    fc.property(shapes, ({ seed, ...fields }) => {
      const target = sampleTarget("m", seed, fields);
      const norm = Math.sqrt(delta64(target).reduce((sum, value) => sum + value * value, 0));
      expect(Math.abs(deltaNorm(target) - norm)).toBeLessThan(1e-5 * norm + 1e-6);
    }),
  );
});

test.each([
  [[], { weights: [] }, "invalid-argument"],
  [[a, b], { weights: [1] }, "invalid-argument"],
  [[a], { weights: [Number.NaN] }, "invalid-argument"],
  [[a], { weights: [1], type: "toString" as "cat" }, "invalid-argument"],
  [[a], { weights: [1], type: "svd", rank: 0 }, "invalid-argument"],
  [[a], { weights: [1], type: "ties", density: 1.5 }, "invalid-argument"],
  [[a], { weights: [1], type: "dare_ties", density: 0 }, "invalid-argument"],
  [[a], { weights: [1], type: "dare_ties", density: 0.5, mask: () => [1] }, "invalid-argument"],
  [[a, wide], { weights: [1, 1], type: "ties" }, "bad-shape"],
  [[fileOf(sampleTarget("m", 1)), fileOf(sampleTarget("m", 1, { inFeatures: 4 }))], { weights: [1, 1] }, "bad-shape"],
  [
    [{ ...a, replaced: new Map([["x.bias", { dtype: "F32", shape: [0], data: new Uint8Array() }]]) }],
    { weights: [1] },
    "needs-base",
  ],
] as [LoraFile[], CombineOptions, "bad-shape"][])("case %# is refused", (files, options, code) => {
  expectRefusal(() => combine(files, options), code);
});
