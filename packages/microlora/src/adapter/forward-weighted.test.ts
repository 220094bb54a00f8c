import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expectRefusal } from "../base/refusals.test-support.js";
import { floats } from "../base/samples.test-support.js";
import { KERNELS_NAMES } from "../kernels/contract.js";
import { trainedLora } from "./adapters.test-support.js";
import { forwardWeighted, type WeightedAdapter } from "./forward-weighted.js";
import { delta64, parametersOf } from "./reference.test-support.js";

const [IN, OUT] = [13, 7];
const SHAPES = [
  { rank: 1, bias: false },
  { rank: 2, bias: true },
  { rank: 2, bias: false },
  { rank: 5, bias: true },
];
const shape = { inFeatures: IN, outFeatures: OUT };

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  test("each row gets the weighted sum of its own adapters", async () => {
    const loras = await Promise.all(SHAPES.map((own, k) => trainedLora({ ...shape, ...own, seed: k, kernels })));
    const adapters = loras.map((lora) => lora.getAdapter("m")!);
    const entry = fc.record({ k: fc.nat(3), weight: fc.constantFrom(0, 1, -1, 0.3, -2.5) });
    fc.assert(
      fc.property(fc.array(fc.array(entry, { maxLength: 4 }), { maxLength: 5 }), fc.nat(99), (lists, seed) => {
        const rows = lists.map((list) =>
          list.map(({ k, weight }): WeightedAdapter => ({ adapter: adapters[k]!, weight })),
        );
        const [x, before] = [floats(rows.length * IN, seed), floats(rows.length * OUT, seed + 1)];
        const output = before.slice();
        forwardWeighted(rows, x, output);
        for (const [row, list] of rows.entries()) {
          const expected = Float64Array.from(before.subarray(row * OUT, (row + 1) * OUT));
          const bounds = expected.map((value) => 8 * 2 ** -23 * Math.abs(value));
          for (const { adapter, weight } of list) {
            const delta = delta64(parametersOf(adapter), x.subarray(row * IN, (row + 1) * IN));
            // The bias is added as it is, and its share beside 1 after that.
            const bias = adapter.bias ?? new Float32Array(OUT);
            for (let o = 0; o < OUT; o++) {
              expected[o]! += weight * delta.values[o]!;
              bounds[o]! += (Math.abs(weight) + 1) * (delta.bounds[o]! + 8 * 2 ** -23 * Math.abs(bias[o]!));
              bounds[o]! += 8 * 2 ** -23 * Math.abs(weight * delta.values[o]!);
            }
          }
          for (let o = 0; o < OUT; o++) {
            expect(Math.abs(output[row * OUT + o]! - expected[o]!)).toBeLessThanOrEqual(8 * bounds[o]! + 1e-12);
          }
        }
      }),
      { numRuns: 60 },
    );
    for (const lora of loras) lora[Symbol.dispose]();
  });

  test("a refusal in a later pass leaves the output as it was", async () => {
    using one = await trainedLora({ ...shape, kernels });
    using two = await trainedLora({ ...shape, rank: 1, kernels });
    const rows = [[{ adapter: one.getAdapter("m")!, weight: 1 }], [{ adapter: two.getAdapter("m")!, weight: 1 }]];
    const x = floats(2 * IN, 1);
    x[IN + 3] = Number.NaN;
    const output = floats(2 * OUT, 2);
    expectRefusal(() => forwardWeighted(rows, x, output), "not-finite");
    expect(output).toEqual(floats(2 * OUT, 2));
  });
});

test("what does not go together is refused", async () => {
  using lora = await trainedLora({ ...shape });
  using wide = await trainedLora({ ...shape, outFeatures: OUT + 1 });
  const [adapter, other] = [lora.getAdapter("m")!, wide.getAdapter("m")!];
  const output = floats(OUT, 2);
  const run = (list: readonly WeightedAdapter[], x = floats(IN, 1)) => forwardWeighted([list], x, output);
  expectRefusal(() => run([{ adapter, weight: Number.NaN }]), "not-finite", "weight");
  expectRefusal(() => run([{ adapter, weight: 1e31 }]), "out-of-range", "weight");
  expectRefusal(
    () =>
      run([
        { adapter, weight: 1 },
        { adapter: other, weight: 1 },
      ]),
    "shape-mismatch",
    "adapters",
  );
  expectRefusal(() => run([{ adapter, weight: 1 }], floats(IN + 1, 1)), "shape-mismatch", "x");
  const given = (rows: unknown) => () =>
    forwardWeighted(rows as readonly (readonly WeightedAdapter[])[], floats(IN, 1), output);
  for (const list of [undefined, null, {}]) expectRefusal(given([list]), "shape-mismatch", "rows[0]");
  for (const each of [undefined, null, {}, { adapter: undefined, weight: 1 }, { adapter: lora, weight: 1 }])
    expectRefusal(given([[each]]), "shape-mismatch", "rows[0]");
  expectRefusal(given(undefined), "shape-mismatch", "rows");
  run([]);
  expect(output).toEqual(floats(OUT, 2));
});
