import { describe, expect, test } from "vitest";
import { apart } from "../adapter/reference.test-support.js";
import { floats } from "../base/samples.test-support.js";
import { KERNELS_NAMES } from "../kernels/contract.js";
import { Runtime } from "../kernels/runtime.js";
import { cosineCrossEntropy } from "./cosine-cross-entropy.js";
import { gradient64, loss64, unit64 } from "./reference.test-support.js";

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  test.each([
    [1, 2, 0.1],
    [5, 1, 0.1],
    [16, 3, 0.05],
    [33, 50, 0.1],
    [64, 7, 1],
  ])(
    "%i wide, %i shown, temperature %f: loss and gradient agree with finite differences",
    async (n, shown, temperature) => {
      const runtime = await Runtime.create({ kernels, memoryBytes: 2 ** 20 });
      const place = (values: ArrayLike<number>) => {
        const pointer = runtime.allocate(values.length);
        runtime.view(pointer, values.length).set(values);
        return pointer;
      };
      const y = floats(n, 1, 2);
      const documents = Array.from({ length: shown }, (_, j) => Float32Array.from(unit64(floats(n, j + 2))));
      const pointers = documents.map(place);
      const gradient = runtime.allocate(n);
      for (let chosen = 0; chosen < Math.min(shown, 4); chosen++) {
        const loss = cosineCrossEntropy(runtime, place(y), n, pointers, chosen, temperature, gradient);
        const expected = gradient64(y, documents, chosen, temperature);
        expect(loss).toBeCloseTo(loss64(y, documents, chosen, temperature), 4);
        const floor = 1e-6 / temperature;
        if (Math.hypot(...expected) > floor) expect(apart(runtime.view(gradient, n), expected, 1e-4)).toEqual([]);
        else expect(Math.hypot(...runtime.view(gradient, n))).toBeLessThan(floor);
      }
    },
  );

  test("the direction is kept where the chosen one has all but won already", async () => {
    const runtime = await Runtime.create({ kernels, memoryBytes: 2 ** 20 });
    const pointer = runtime.allocate(9);
    runtime.view(pointer, 9).set([0.8, 0.6, 0, 1, 0, 0, -1, 0, 0]);
    const gradient = runtime.allocate(3);
    cosineCrossEntropy(runtime, pointer, 3, [pointer + 12, pointer + 24], 0, 0.04, gradient);
    const direction = runtime.view(gradient, 3).map((g, _, all) => g / Math.hypot(...all));
    // Towards the chosen one, at a right angle to y.
    expect(apart(direction, [-0.6, 0.8, 0], 1e-4)).toEqual([]);
  });
});
