import { describe, expect, test } from "vitest";
import type { LearningConfig } from "./adapter/config.js";
import { EwcState } from "./adapter/ewc-state.js";
import type { GradientFeedback } from "./adapter/feedback.js";
import { MicroLora } from "./adapter/micro-lora.js";
import { expectRefusal, expectSameBytes, thrownBy } from "./base/refusals.test-support.js";
import { floats, withElement } from "./base/samples.test-support.js";
import { KERNELS_NAMES, type KernelsName } from "./kernels/contract.js";

const IN = 7;
const OUT = 5;
const x = floats(IN, 1);
const gradient = floats(OUT, 2);

/** A model in the middle of its life: trained, consolidated, with something pending. */
async function midLife(kernels: KernelsName, learning: LearningConfig = {}): Promise<MicroLora> {
  const reward = (learning.learningRate ?? 0) > 1 ? 0 : 1;
  const lora = await MicroLora.create({
    inFeatures: IN,
    outFeatures: OUT,
    bias: true,
    targetModules: ["m"],
    kernels,
    learning,
  });
  for (let k = 0; k < 3; k++) lora.learn(floats(IN, k + 3), { gradient: floats(OUT, k + 6), reward });
  lora.consolidate();
  lora.learn(floats(IN, 4), { gradient: floats(OUT, 5), reward });
  lora.adapt(floats(IN, 5), { gradient: floats(OUT, 6) });
  return lora;
}

/** Every number that the model is made of. */
function numbersOf(lora: MicroLora): Float32Array[] {
  return lora
    .exportState()
    .adapters.flatMap(({ loraA, loraB, bias, fisher, fisherRunning, anchor, pending }) =>
      [loraA, loraB, bias, fisher, fisherRunning, anchor, pending].filter((block) => block !== undefined),
    );
}

function expectFinite(lora: MicroLora): void {
  expect(
    numbersOf(lora).every((block) => block.every(Number.isFinite)),
    "every number is finite",
  ).toBe(true);
}

const VECTORS: readonly (readonly [
  what: string,
  make: (good: Float32Array) => unknown,
  code: "shape-mismatch" | "not-finite",
])[] = [
  ["NaN first", (good) => withElement(good, 0, Number.NaN), "not-finite"],
  ["NaN last", (good) => withElement(good, good.length - 1, Number.NaN), "not-finite"],
  ["Infinity", (good) => withElement(good, 2, Number.POSITIVE_INFINITY), "not-finite"],
  ["-Infinity", (good) => withElement(good, 4, Number.NEGATIVE_INFINITY), "not-finite"],
  ["both infinities", (good) => good.map((_, i) => (i % 2 ? 1 : -1) / 0), "not-finite"],
  ["one too short", (good) => good.slice(1), "shape-mismatch"],
  ["one too long", (good) => Float32Array.of(...good, 1), "shape-mismatch"],
  ["empty", () => new Float32Array(0), "shape-mismatch"],
  ["a Float64Array", (good) => Float64Array.from(good), "shape-mismatch"],
  ["an array of numbers", (good) => [...good], "shape-mismatch"],
  ["null", () => null, "shape-mismatch"],
  ["a string", () => "abcdefg", "shape-mismatch"],
];

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  test.each(VECTORS)("x is refused: %s", async (_, make, code) => {
    using lora = await midLife(kernels);
    const before = lora.toBytes();
    const wrong = make(x) as Float32Array;
    const output = floats(OUT, 9);
    const adapter = lora.getAdapter("m")!;
    for (const call of [
      () => lora.forward(wrong, "m"),
      () => lora.forward(wrong, "m", { training: true }),
      () => lora.forwardAdd(wrong, "m", output),
      () => lora.learn(wrong, { gradient }),
      () => lora.adapt(wrong, { gradient, module: "m" }),
      () => adapter.accumulateGradient(wrong, gradient),
    ]) {
      expectRefusal(call, code);
      expectSameBytes(lora.toBytes(), before);
    }
    expect([...output]).toEqual([...floats(OUT, 9)]);
  });

  test.each(VECTORS)("gradient is refused: %s", async (_, make, code) => {
    using lora = await midLife(kernels);
    const before = lora.toBytes();
    const wrong = make(gradient) as Float32Array;
    for (const call of [
      () => lora.learn(x, { gradient: wrong }),
      () => lora.learn(x, { gradient: wrong, reward: 0 }),
      () => lora.adapt(x, { gradient: wrong, module: "m" }),
      () => lora.getAdapter("m")!.accumulateGradient(x, wrong),
    ]) {
      expectRefusal(call, code);
      expectSameBytes(lora.toBytes(), before);
    }
  });

  test.each([
    ["out-of-range", "reward", 1.01],
    ["out-of-range", "reward", -2],
    ["not-finite", "reward", Number.NaN],
    ["not-finite", "reward", Number.NEGATIVE_INFINITY],
    ["not-finite", "reward", "1"],
  ] as const)("%s: %s %s", async (code, field, value) => {
    using lora = await midLife(kernels);
    const before = lora.toBytes();
    const feedback = { gradient, [field]: value } as GradientFeedback;
    expectRefusal(() => lora.learn(x, feedback), code, `feedback.${field}`);
    expectRefusal(() => lora.adapt(x, feedback), code, `feedback.${field}`);
    expectSameBytes(lora.toBytes(), before);
  });

  test.each([{}, { quality: 0.9 }, { reward: 1 }, { quality: 0, gradient }, { chosen: 1, gradient }, { rating: 1 }])(
    "there is nothing to learn from %o",
    async (wrong) => {
      const feedback = wrong as unknown as GradientFeedback;
      using lora = await midLife(kernels);
      const before = lora.toBytes();
      expectRefusal(() => lora.learn(x, feedback), "nothing-to-learn-from", "feedback");
      expectRefusal(() => lora.adapt(x, feedback), "nothing-to-learn-from", "feedback");
      expectSameBytes(lora.toBytes(), before);
    },
  );

  test.each([
    [Number.NaN, "not-finite"],
    [Number.POSITIVE_INFINITY, "not-finite"],
    [-0.1, "out-of-range"],
    [1e39, "out-of-range"],
    [1e300, "out-of-range"],
    ["0.1", "not-finite"],
  ] as const)("a learning rate of %s is refused", async (rate, code) => {
    using lora = await midLife(kernels);
    const adapter = lora.getAdapter("m")!;
    using ewc = EwcState.fromAdapter(adapter);
    const before = lora.toBytes();
    const learningRate = rate as number;
    expectRefusal(() => lora.applyUpdates(learningRate), code, "learningRate");
    expectRefusal(() => adapter.applyGradients(learningRate), code, "learningRate");
    expectRefusal(() => lora.applyUpdatesWithEwc(learningRate, new Map([["m", ewc]]), 1), code, "learningRate");
    expectSameBytes(lora.toBytes(), before);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, -1, 1e39, 1e300])("a penalty of %s is refused", async (lambda) => {
    using lora = await midLife(kernels);
    using ewc = EwcState.fromAdapter(lora.getAdapter("m")!);
    const before = lora.toBytes();
    const error = thrownBy(() => lora.applyUpdatesWithEwc(1, new Map([["m", ewc]]), lambda));
    expect(error).toMatchObject({ name: "MicroLoraError" });
    expectSameBytes(lora.toBytes(), before);
  });

  // What is finite in itself and becomes infinite, or NaN, on the way: each either works or is refused without a trace.
  const MAGNITUDES = [1e-45, 1e-38, 1e-30, 1e-20, 1e-10, 1e10, 1e19, 1e25, 1e38, 3.4e38];
  const RATES = [0, 1e-30, 0.01, 1e10, 1e30];

  test.each(RATES)(
    "learning rate %s: no magnitudes of x, gradient and weights leave a number that is not finite",
    async (learningRate) => {
      for (const weights of [1e-30, 1, 1e19, 1e30]) {
        using lora = await midLife(kernels, { learningRate, ewcLambda: learningRate > 1 ? 1e-5 : 1e5 });
        lora.getAdapter("m")!.loraB.set(floats(2 * OUT, 3, weights));
        for (const a of MAGNITUDES) {
          for (const b of MAGNITUDES) {
            const [hugeX, hugeGradient] = [
              withElement(x, 3, 0).map((v) => v * a),
              withElement(gradient, 1, 0).map((v) => v * b),
            ];
            attempt(lora, () => lora.learn(hugeX, { gradient: hugeGradient }));
            attempt(lora, () => lora.adapt(hugeX, { gradient: hugeGradient, reward: -1 }));
          }
          attempt(lora, () => lora.consolidate());
          attempt(lora, () => lora.applyUpdates(learningRate));
        }
      }
    },
  );

  function attempt(lora: MicroLora, action: () => unknown): void {
    const before = lora.toBytes();
    const error = thrownBy(action);
    if (error !== undefined) {
      expect(error).toMatchObject({ name: "MicroLoraError", code: "update-overflow" });
      expectSameBytes(lora.toBytes(), before);
    }
    expectFinite(lora);
  }

  test("growth over many steps is refused before it overflows, and what was learned stays", async () => {
    using lora = await midLife(kernels, { learningRate: 1e30, ewcLambda: 0 });
    let refused = 0;
    for (let k = 0; k < 3000; k++) {
      const error = thrownBy(() => lora.learn(x, { gradient: gradient.map((g) => g * 1e5), reward: k % 3 ? -1 : 1 }));
      if (error !== undefined) refused++;
    }
    expect(refused).toBeGreaterThan(0);
    expectFinite(lora);
    (await MicroLora.fromBytes(lora.toBytes(), { kernels }))[Symbol.dispose]();
  });

  test("gradients that feed themselves under a strong penalty are refused before they overflow", async () => {
    using lora = await midLife(kernels, { learningRate: 1, ewcLambda: 1e4, fisherDecay: 0 });
    lora.learn(x, { gradient });
    lora.consolidate();
    let refused = 0;
    for (let k = 0; k < 300; k++) {
      if (thrownBy(() => lora.learn(x, { gradient, reward: -0.5 })) !== undefined) refused++;
    }
    expect(refused).toBeGreaterThan(0);
    expectFinite(lora);
  });

  test("many refused requests do not use up what later ones may do", async () => {
    using lora = await MicroLora.create({ hiddenSize: 4, kernels, targetModules: ["calm", "huge"] });
    lora.getAdapter("huge")!.loraB.fill(1e15);
    const large = floats(4, 1, 1e15);
    for (let k = 0; k < 100; k++) expectRefusal(() => lora.adapt(large, { gradient: large }), "update-overflow");
    lora.adapt(floats(4, 1), { gradient: floats(4, 2), module: "calm" });
    lora.applyUpdates(0.1);
    expectFinite(lora);
  });
});

test("a Fisher or an anchor that is not finite, or a negative Fisher, is refused", async () => {
  using lora = await midLife("simd");
  const adapter = lora.getAdapter("m")!;
  const before = lora.toBytes();
  const good = { a: floats(14, 1).map(Math.abs), b: floats(10, 2).map(Math.abs) };
  const wrong = withElement(good.a, 3, Number.NaN);
  const apply = (fisherA: Float32Array, optimalA: Float32Array) => () =>
    adapter.applyGradientsWithEwc(0.1, fisherA, good.b, optimalA, good.b, 1);
  expectRefusal(apply(wrong, good.a), "not-finite", "fisherA[3]");
  expectRefusal(apply(good.a, wrong), "not-finite", "optimalA[3]");
  expectRefusal(apply(good.b, good.a), "shape-mismatch", "fisherA");
  expectRefusal(apply(withElement(good.a, 2, -1), good.a), "out-of-range", "fisher[2]");
  expectSameBytes(lora.toBytes(), before);
});
