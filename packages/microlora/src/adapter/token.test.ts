import { describe, expect, test } from "vitest";
import { expectRefusal } from "../base/refusals.test-support.js";
import { floats, withElement } from "../base/samples.test-support.js";
import { KERNELS_NAMES } from "../kernels/contract.js";
import { trainedLora } from "./adapters.test-support.js";
import { MicroLora } from "./micro-lora.js";
import type { ForwardToken } from "./token.js";

const N = 17;
const x = floats(N, 1);
const gradient = floats(N, 2);
const feedback = { gradient, module: "m" };

function keep(lora: MicroLora, input = x): ForwardToken {
  return lora.forwardAdd(input, "m", new Float32Array(N), { keep: true })!;
}

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  const make = () => trainedLora({ hiddenSize: N, kernels });

  const CHANGES: Readonly<Record<string, (lora: MicroLora) => void>> = {
    learn: (lora) => lora.learn(floats(N, 5), feedback),
    "learn with another token": (lora) => lora.learn(x, feedback, { token: keep(lora) }),
    "learn in all modules": (lora) => lora.learn(floats(N, 5), { gradient }),
    applyUpdates: (lora) => lora.applyUpdates(0.1),
    applyUpdatesWithEwc: (lora) => lora.applyUpdatesWithEwc(0.1, new Map(), 1),
    applyGradients: (lora) => lora.getAdapter("m")!.applyGradients(0.1),
    reset: (lora) => lora.reset(),
  };

  test.each(Object.keys(CHANGES))("a token is stale after %s", async (change) => {
    using lora = await make();
    lora.adapt(x, feedback);
    const token = keep(lora);
    CHANGES[change]!(lora);
    const before = lora.toBytes();
    expectRefusal(() => lora.learn(x, feedback, { token }), "stale-token", "token");
    expect(lora.toBytes()).toEqual(before);
  });

  const swapped = withElement(withElement(x, 0, x[4]!), 4, x[0]!);
  const INPUTS: Readonly<Record<string, Float32Array>> = {
    "one element changed by a bit": withElement(x, 3, x[3]! * (1 + 2 ** -22)),
    "two elements swapped": swapped,
    "the order turned around": x.slice().reverse(),
    "every sign flipped": x.map((value) => -value),
    "one sign flipped": withElement(x, N - 1, -x[N - 1]!),
    "two signs flipped": withElement(withElement(x, 0, -x[0]!), 8, -x[8]!),
  };

  test.each(Object.keys(INPUTS))("a token is refused for another input: %s", async (input) => {
    using lora = await make();
    const token = keep(lora);
    const before = lora.toBytes();
    expectRefusal(() => lora.learn(INPUTS[input]!, feedback, { token }), "stale-token", "token");
    expect(lora.toBytes()).toEqual(before);
    lora.learn(x.slice(), feedback, { token });
  });

  test("the last eight are good, in any order; older ones and invented ones are not", async () => {
    using lora = await make();
    const inputs = Array.from({ length: 9 }, (_, k) => floats(N, 20 + k));
    const tokens = inputs.map((input) => keep(lora, input));
    for (const token of [0, -1, 1.5, Number.NaN, tokens[8]! + 1, tokens[0]!]) {
      expectRefusal(() => lora.learn(inputs[0]!, feedback, { token: token as ForwardToken }), "stale-token");
    }
    for (const k of [8, 1, 5]) {
      using other = await MicroLora.fromBytes(lora.toBytes(), { kernels });
      other.learn(inputs[k]!, feedback);
      using same = await MicroLora.fromBytes(lora.toBytes(), { kernels });
      for (const input of inputs) keep(same, input);
      same.learn(inputs[k]!, feedback, { token: tokens[k]! });
      expect(same.exportState().adapters).toEqual(other.exportState().adapters);
    }
  });

  test("accumulating leaves the weights, and so the tokens, as they are", async () => {
    using lora = await make();
    const token = keep(lora);
    lora.adapt(floats(N, 6), feedback);
    expect(lora.learn(x, feedback, { token }).applied).toBe(true);
  });
});

test("a token without its module is refused", async () => {
  using lora = await trainedLora({ hiddenSize: N });
  const token = keep(lora);
  expectRefusal(() => lora.learn(x, { gradient }, { token }), "stale-token", "token");
});

test("a token is its module's own, and none is given unasked or while disabled", async () => {
  using lora = await MicroLora.create({ hiddenSize: N, targetModules: ["m", "other"] });
  const output = new Float32Array(N);
  expect(lora.forwardAdd(x, "m", output)).toBeUndefined();
  const token = keep(lora);
  expectRefusal(() => lora.learn(x, { gradient, module: "other" }, { token }), "stale-token");
  lora.enabled = false;
  expect(lora.forwardAdd(x, "m", output, { keep: true })).toBeUndefined();
});
