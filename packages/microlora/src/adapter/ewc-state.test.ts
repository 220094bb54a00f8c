import { expect, test } from "vitest";
import { expectRefusal, expectSameBytes } from "../base/refusals.test-support.js";
import { floats, withElement } from "../base/samples.test-support.js";
import { KERNELS_NAMES } from "../kernels/contract.js";
import { trainedLora } from "./adapters.test-support.js";
import { EwcState } from "./ewc-state.js";
import { apart, flatOf } from "./reference.test-support.js";

const config = { inFeatures: 9, outFeatures: 5, rank: 2, bias: true } as const;

test.each(KERNELS_NAMES)("updateFisher is decay * fisher + (1 - decay) * g^2, %s kernels", async (kernels) => {
  using lora = await trainedLora({ ...config, kernels });
  using ewc = EwcState.fromAdapter(lora.getAdapter("m")!);
  expect([...ewc.fisherA, ...ewc.fisherB, ...ewc.fisherBias].every((f) => f === 0)).toBe(true);
  let expected = new Float64Array(18 + 10 + 5);
  for (const [k, decay] of [0.9, 0, 0.5, 1].entries()) {
    const [a, b, bias] = [floats(18, k), floats(10, k + 10), floats(5, k + 20)];
    ewc.updateFisher(a, b, decay, bias);
    const g = [...a, ...b, ...bias];
    expected = expected.map((f, i) => decay * f + (1 - decay) * g[i]! ** 2);
    expect(apart([...ewc.fisherA, ...ewc.fisherB, ...ewc.fisherBias], expected, 1e-6)).toEqual([]);
  }
});

test.each(KERNELS_NAMES)("applyUpdatesWithEwc penalises the modules that it is given, %s kernels", async (kernels) => {
  using lora = await trainedLora({ ...config, kernels });
  const adapter = lora.getAdapter("m")!;
  using ewc = EwcState.fromAdapter(adapter);
  ewc.updateFisher(floats(18, 1), floats(10, 2), 0, floats(5, 3));
  const optimal = flatOf(adapter);
  lora.learn(floats(9, 1), { gradient: floats(5, 2) });
  lora.adapt(floats(9, 3), { gradient: floats(5, 4) });
  const before = flatOf(adapter);
  const pending = adapter.learningBlock("pending")!.slice();
  const fisher = [...ewc.fisherA, ...ewc.fisherB, ...ewc.fisherBias];
  lora.applyUpdatesWithEwc(0.1, new Map([["m", ewc]]), 2);
  const expected = before.map((w, i) => w - 0.1 * (pending[i]! + 2 * fisher[i]! * (w - optimal[i]!)));
  expect(apart(flatOf(adapter), expected, 1e-6)).toEqual([]);
  ewc.updateOptimal(adapter);
  expect([...ewc.optimalA, ...ewc.optimalB, ...ewc.optimalBias]).toEqual([...flatOf(adapter)]);
});

test("what would break the Fisher is refused, and changes nothing", async () => {
  using lora = await trainedLora(config);
  using ewc = EwcState.fromAdapter(lora.getAdapter("m")!);
  ewc.updateFisher(floats(18, 1), floats(10, 2), 0.5, floats(5, 3));
  const before = [...ewc.fisherA, ...ewc.fisherB, ...ewc.fisherBias];
  const [a, b] = [floats(18, 4), floats(10, 5)];
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
    expectRefusal(() => ewc.updateFisher(withElement(a, 3, value), b, 0.5), "not-finite", "gradA[3]");
    expectRefusal(() => ewc.updateFisher(a, withElement(b, 9, value), 0.5), "not-finite", "gradB[9]");
  }
  expectRefusal(
    () => ewc.updateFisher(a, b, 0.5, withElement(floats(5, 1), 2, 1e20)),
    "update-overflow",
    "gradBias[2]",
  );
  expectRefusal(() => ewc.updateFisher(a, a, 0.5), "shape-mismatch", "gradB");
  expectRefusal(() => ewc.updateFisher(a, b, 1.5), "out-of-range", "decay");
  expectRefusal(() => ewc.updateFisher(a, b, Number.NaN), "not-finite", "decay");
  expect([...ewc.fisherA, ...ewc.fisherB, ...ewc.fisherBias]).toEqual(before);
});

test("it belongs to adapters of one shape and one runtime, and to none after disposal", async () => {
  using lora = await trainedLora(config);
  using wider = await trainedLora({ ...config, inFeatures: 10 });
  using elsewhere = await trainedLora({ ...config, kernels: "scalar" });
  const ewc = EwcState.fromAdapter(lora.getAdapter("m")!);
  const { usedBytes } = lora.runtime;
  for (const other of [wider, elsewhere]) {
    expectRefusal(() => ewc.updateOptimal(other.getAdapter("m")!), "shape-mismatch");
    expectRefusal(() => other.applyUpdatesWithEwc(0.1, new Map([["m", ewc]]), 1), "shape-mismatch");
  }
  lora.adapt(floats(9, 1), { gradient: floats(5, 2) });
  const before = lora.toBytes();
  ewc[Symbol.dispose]();
  ewc[Symbol.dispose]();
  expect(lora.runtime.usedBytes).toBeLessThan(usedBytes + 4 * 33 * 2 + 64);
  expectRefusal(() => ewc.fisherA, "disposed");
  expectRefusal(() => ewc.updateFisher(floats(18, 1), floats(10, 2), 0.5), "disposed");
  expectRefusal(() => ewc.updateOptimal(lora.getAdapter("m")!), "disposed");
  expectRefusal(() => lora.applyUpdatesWithEwc(0.1, new Map([["m", ewc]]), 1), "disposed");
  expectSameBytes(lora.toBytes(), before);
});

test.each(KERNELS_NAMES)(
  "live views that hold what cannot be are refused when they are used, %s kernels",
  async (kernels) => {
    using lora = await trainedLora({ ...config, kernels });
    using ewc = EwcState.fromAdapter(lora.getAdapter("m")!);
    lora.adapt(floats(9, 1), { gradient: floats(5, 2) });
    const before = lora.toBytes();
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      ewc.fisherA[3] = value;
      for (const lambda of [0, 1]) {
        expectRefusal(() => lora.applyUpdatesWithEwc(0.1, new Map([["m", ewc]]), lambda), "not-finite", "fisher[3]");
      }
      ewc.fisherA[3] = -value;
      expectRefusal(() => lora.applyUpdatesWithEwc(0.1, new Map([["m", ewc]]), 1), "not-finite", "fisher[3]");
      ewc.fisherA[3] = -1e-3;
      expectRefusal(() => lora.applyUpdatesWithEwc(0.1, new Map([["m", ewc]]), 1), "out-of-range", "fisher[3]");
      ewc.fisherA[3] = 0;
      ewc.optimalB[1] = value;
      expectRefusal(() => lora.applyUpdatesWithEwc(0.1, new Map([["m", ewc]]), 1), "update-overflow");
      ewc.optimalB[1] = 0;
    }
    expectSameBytes(lora.toBytes(), before);
  },
);
