import { describe, expect, test } from "vitest";
import { expectRefusal } from "../base/refusals.test-support.js";
import { floats } from "../base/samples.test-support.js";
import { KERNELS_NAMES } from "../kernels/contract.js";
import { fill, trainedLora } from "./adapters.test-support.js";
import { forwardEach } from "./forward-each.js";
import type { LoraAdapter } from "./lora-adapter.js";
import { MicroLora } from "./micro-lora.js";
import { delta64, merged64, outside, parametersOf } from "./reference.test-support.js";

const SHAPES = [1, 2, 3, 4, 8, 64].flatMap((rank) =>
  [
    [1, 1],
    [5, 5],
    [16, 7],
    [31, 33],
    [64, 64],
  ].map(([inFeatures, outFeatures]) => ({ rank, inFeatures: inFeatures!, outFeatures: outFeatures! })),
);
const OPTIONS = [
  { bias: false, rsLora: false },
  { bias: true, rsLora: true },
];
const CASES = SHAPES.flatMap((shape) => OPTIONS.map((options) => ({ ...shape, ...options })));

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  describe.each(CASES)("rank $rank, $inFeatures to $outFeatures, bias $bias, rsLora $rsLora", (shape) => {
    const { inFeatures, outFeatures, bias } = shape;

    test("forward, forwardAdd and forwardBatch are within the bound of float64", async () => {
      using lora = await trainedLora({ ...shape, kernels });
      const adapter = lora.getAdapter("m")!;
      const p = parametersOf(adapter);
      const rows = floats(5 * inFeatures, 7, 2);
      const batch = adapter.forwardBatch(rows);
      for (let row = 0; row < 5; row++) {
        const x = rows.slice(row * inFeatures, (row + 1) * inFeatures);
        expect(outside(adapter.forward(x), delta64(p, x))).toEqual([]);
        expect(outside(batch.slice(row * outFeatures, (row + 1) * outFeatures), delta64(p, x))).toEqual([]);
        const onto = floats(outFeatures, 11 + row);
        const output = onto.slice();
        adapter.forwardAdd(x, output);
        expect(outside(output, delta64(p, x, onto))).toEqual([]);
      }
    });

    test.each(["in-out", "out-in"] as const)(
      "merged %s weights are within the bound, and can be unmerged",
      async (layout) => {
        using lora = await trainedLora({ ...shape, kernels });
        const adapter = lora.getAdapter("m")!;
        const base = floats(inFeatures * outFeatures, 3);
        const baseBias = floats(outFeatures, 4);
        const [weights, mergedBias] = [base.slice(), baseBias.slice()];
        adapter.mergeInto(weights, { layout, bias: mergedBias });
        const expected = merged64(parametersOf(adapter), base, layout);
        expect(outside(weights, expected)).toEqual([]);
        expect([...mergedBias]).toEqual([...baseBias.map((b, o) => b + (bias ? adapter.bias![o]! : 0))]);
        adapter.unmergeFrom(weights, { layout, bias: mergedBias });
        expect(outside(weights, { values: Float64Array.from(base), bounds: expected.bounds })).toEqual([]);
      },
    );
  });

  test("what lies in the runtime's memory gives the same bits as ordinary arrays, at any alignment", async () => {
    using lora = await trainedLora({ inFeatures: 37, outFeatures: 21, rank: 2, bias: true, kernels });
    const adapter = lora.getAdapter("m")!;
    const memory = lora.allocate(8 * 64);
    for (let shift = 0; shift < 4; shift++) {
      const x = floats(37, shift);
      const placedX = memory.subarray(shift, shift + 37);
      placedX.set(x);
      const onto = floats(21, shift + 9);
      const placedY = memory.subarray(128 + shift, 128 + shift + 21);
      placedY.set(onto);
      adapter.forwardAdd(x, onto);
      adapter.forwardAdd(placedX, placedY);
      expect([...placedY]).toEqual([...onto]);
      expect([...adapter.forward(placedX)]).toEqual([...adapter.forward(x)]);
      const out = memory.subarray(256 + shift, 256 + shift + 21);
      expect(adapter.forwardBatch(placedX, out) === out).toBe(true);
      expect([...out]).toEqual([...adapter.forwardBatch(x)]);
      const weights = floats(37 * 21, 5);
      const placedWeights = lora.allocate(37 * 21);
      placedWeights.set(weights);
      adapter.mergeInto(weights, { layout: "out-in", bias: new Float32Array(21) });
      adapter.mergeInto(placedWeights, { layout: "out-in", bias: new Float32Array(21) });
      expect([...placedWeights]).toEqual([...weights]);
    }
  });

  test("learning from buffers in the memory gives the same bits as from ordinary arrays", async () => {
    using lora = await trainedLora({ inFeatures: 19, outFeatures: 23, bias: true, kernels });
    using placed = await trainedLora({ inFeatures: 19, outFeatures: 23, bias: true, kernels });
    const [x, gradient] = [placed.allocate(19), placed.allocate(23)];
    for (let step = 0; step < 5; step++) {
      x.set(floats(19, step));
      gradient.set(floats(23, step + 50));
      placed.learn(x, { gradient, module: "m" });
      lora.learn(x.slice(), { gradient: gradient.slice(), module: "m" });
    }
    expect(placed.toBytes()).toEqual(lora.toBytes());
  });

  test("each row of a batch has its own adapter, or none", async () => {
    const config = { inFeatures: 18, outFeatures: 13, rank: 3, bias: true, kernels };
    const loras = await Promise.all([1, 20, 40].map((seed) => trainedLora(config, seed)));
    const adapters = loras.map((lora) => lora.getAdapter("m")!);
    const rows = [adapters[2]!, null, adapters[0]!, adapters[1]!, adapters[2]!, null];
    const x = floats(rows.length * 18, 5);
    const onto = floats(rows.length * 13, 6);
    const output = onto.slice();
    forwardEach(rows, x, output);
    for (const [row, adapter] of rows.entries()) {
      const [from, to] = [row * 13, row * 13 + 13];
      if (adapter === null) expect([...output.slice(from, to)]).toEqual([...onto.slice(from, to)]);
      else {
        const expected = delta64(parametersOf(adapter), x.slice(row * 18, row * 18 + 18), onto.slice(from, to));
        expect(outside(output.slice(from, to), expected)).toEqual([]);
      }
    }
    for (const lora of loras) lora[Symbol.dispose]();
  });

  test("a refused row of a batch leaves all of the output as it was", async () => {
    using lora = await trainedLora({ inFeatures: 6, outFeatures: 4, kernels });
    const adapter = lora.getAdapter("m")!;
    const x = floats(18, 1);
    x[14] = Number.NaN;
    const output = floats(12, 2);
    expectRefusal(() => adapter.forwardBatch(x, output), "not-finite");
    expectRefusal(() => forwardEach([adapter, null, adapter], x, output), "not-finite");
    expect([...output]).toEqual([...floats(12, 2)]);
    expect(adapter.forwardBatch(new Float32Array(0))).toHaveLength(0);
    forwardEach([adapter, adapter, null], x, output);
    expect(output.every(Number.isFinite)).toBe(true);
  });

  test("adapters of another shape or another runtime are refused in one batch", async () => {
    using lora = await trainedLora({ hiddenSize: 6, kernels });
    using wider = await trainedLora({ hiddenSize: 6, rank: 3, kernels });
    using biased = await trainedLora({ hiddenSize: 6, bias: true, kernels });
    const output = new Float32Array(12);
    for (const other of [wider, biased]) {
      const rows = [lora.getAdapter("m")!, other.getAdapter("m")!];
      expectRefusal(() => forwardEach(rows, floats(12, 1), output), "shape-mismatch");
    }
    expectRefusal(() => forwardEach([lora.getAdapter("m")!], floats(12, 1), output), "shape-mismatch", "x");
    expect([...output]).toEqual([...new Float32Array(12)]);
    forwardEach([null, null], floats(12, 1), output);
  });
});

test("a row with neither an adapter nor null is refused", async () => {
  using lora = await trainedLora({ hiddenSize: 6 });
  const adapter = lora.getAdapter("m")!;
  const output = new Float32Array(12);
  const each = (adapters: unknown) => () => forwardEach(adapters as LoraAdapter[], floats(12, 1), output);
  expectRefusal(each([undefined, adapter]), "shape-mismatch", "adapters[0]");
  expectRefusal(each([adapter, undefined]), "shape-mismatch", "adapters[1]");
  expectRefusal(each([null, lora]), "shape-mismatch", "adapters[1]");
  expectRefusal(each(lora), "shape-mismatch", "adapters");
  expect([...output]).toEqual([...new Float32Array(12)]);
});

test("scaling is alpha / rank, or alpha / sqrt(rank) with rsLora", async () => {
  for (const [rank, rsLora, scaling] of [
    [4, false, 2],
    [4, true, 4],
    [1, false, 8],
    [1, true, 8],
  ] as const) {
    using lora = await MicroLora.create({ hiddenSize: 4, alpha: 8, rank, rsLora });
    expect(lora.getAdapter("q_proj")!.scaling).toBe(scaling);
  }
});

test("the layout of base weights, and the place for a bias, have to be named", async () => {
  using lora = await trainedLora({ hiddenSize: 4, bias: true });
  const weights = floats(16, 1);
  const bias = floats(4, 2);
  const merge =
    (target: object, into = weights) =>
    () =>
      lora.mergeIntoBase("m", into, target as { layout: "in-out"; bias: Float32Array });
  expectRefusal(merge({ bias }), "invalid-config", "layout");
  expectRefusal(merge({ bias, layout: "row" }), "invalid-config", "layout");
  expectRefusal(merge({ layout: "in-out" }), "invalid-config", "bias");
  expectRefusal(merge({ layout: "in-out", bias: floats(3, 2) }), "shape-mismatch", "bias");
  expectRefusal(merge({ layout: "in-out", bias }, floats(15, 1)), "shape-mismatch", "weights");
  const broken = floats(16, 1);
  broken[15] = Number.NaN;
  expectRefusal(merge({ layout: "in-out", bias }, broken), "not-finite", "weights[15]");
  expect([...weights, ...bias]).toEqual([...floats(16, 1), ...floats(4, 2)]);
});

test("weights wider than one chunk of the memory are merged whole", async () => {
  using lora = await trainedLora({ inFeatures: 300, outFeatures: 401 });
  const adapter = lora.getAdapter("m")!;
  fill(adapter, 5);
  const base = floats(300 * 401, 3);
  for (const layout of ["in-out", "out-in"] as const) {
    const weights = base.slice();
    adapter.mergeInto(weights, { layout });
    expect(outside(weights, merged64(parametersOf(adapter), base, layout))).toEqual([]);
  }
});

test("a merge that would reach beyond float32 is refused, and leaves the weights as they were", async () => {
  using lora = await trainedLora({ hiddenSize: 4, bias: true });
  const adapter = lora.getAdapter("m")!;
  const [weights, bias] = [floats(16, 1), floats(4, 2)];
  const merge = (layout: "in-out" | "out-in") => () => adapter.mergeInto(weights, { layout, bias });
  adapter.loraA.fill(1e20);
  adapter.loraB.fill(1e20);
  expectRefusal(merge("in-out"), "update-overflow", "weights");
  adapter.loraA.fill(3e38);
  adapter.loraB.fill(0);
  expectRefusal(merge("out-in"), "update-overflow", "weights");
  adapter.loraA.fill(1);
  adapter.bias!.fill(3e38);
  bias.fill(3e38);
  expectRefusal(merge("in-out"), "update-overflow", "bias");
  expect([...weights]).toEqual([...floats(16, 1)]);
});
