import { describe, expect, test } from "vitest";
import { expectRefusal, expectRejection, expectSameBytes } from "../../base/refusals.test-support.js";
import { floats } from "../../base/samples.test-support.js";
import { KERNELS_NAMES } from "../../kernels/contract.js";
import { METHODS } from "../../learner/all-methods.js";
import { trainedLora } from "../adapters.test-support.js";
import { MicroLora } from "../micro-lora.js";
import { apart, differences, flatOf, parametersOf } from "../reference.test-support.js";
import { expectTakenOrRefused } from "./extremes.test-support.js";
import type { Method } from "./method.js";
import { type AdamWSettings, adamw, adaptiveRows, momentum, sgd } from "./optimizers.js";
import { cosineDecay, inverseSquareRoot, linearDecay, warmUp } from "./schedules.js";

const SHAPE = { rank: 2, inFeatures: 5, outFeatures: 7, bias: true };
const ROWS = [5, 5, 7, 7, 7];

type Rule = (w: Float64Array, g: Float64Array, t: number) => void;

/** Each optimiser by its paper, in float64, with its state in the closure. */
const RULES: Readonly<Record<string, { method: Method; rule: () => Rule }>> = {
  sgd: {
    method: sgd(),
    rule: () => (w, g) => {
      for (const [i, gi] of g.entries()) w[i]! -= 0.05 * gi;
    },
  },
  momentum: {
    method: momentum({ beta: 0.8 }),
    rule: () => {
      const m = new Float64Array(31);
      return (w, g) => {
        for (const [i, gi] of g.entries()) {
          m[i] = 0.8 * m[i]! + gi;
          w[i]! -= 0.05 * m[i]!;
        }
      };
    },
  },
  adamw: {
    method: adamw({ beta1: 0.8, beta2: 0.95, weightDecay: 0.1 }),
    rule: () => {
      const [m, v] = [new Float64Array(31), new Float64Array(31)];
      return (w, g, t) => {
        for (const [i, gi] of g.entries()) {
          m[i] = 0.8 * m[i]! + 0.2 * gi;
          v[i] = 0.95 * v[i]! + 0.05 * gi * gi;
          const [mean, square] = [m[i]! / (1 - 0.8 ** t), v[i]! / (1 - 0.95 ** t)];
          w[i]! -= 0.05 * (mean / (Math.sqrt(square) + 1e-8) + 0.1 * w[i]!);
        }
      };
    },
  },
  adaptiveRows: {
    method: adaptiveRows({ beta2: 0.9 }),
    rule: () => {
      const v = new Float64Array(5);
      return (w, g, t) => {
        let at = 0;
        for (const [row, n] of ROWS.entries()) {
          const part = g.subarray(at, at + n);
          v[row] = 0.9 * v[row]! + 0.1 * (part.reduce((sum, gi) => sum + gi * gi, 0) / n);
          const root = Math.sqrt(v[row]! / (1 - 0.9 ** t)) + 1e-8;
          for (const [i, gi] of part.entries()) w[at + i]! -= (0.05 * gi) / root;
          at += n;
        }
      };
    },
  },
};

const target = floats(7, 9);

/** The flat gradient of |y - target|^2 / 2 by finite differences, and dLoss/dy. */
function gradients(lora: MicroLora, x: Float32Array): { flat: Float64Array; output: Float32Array } {
  const p = parametersOf(lora.getAdapter("m")!);
  const output = (q: typeof p) =>
    Float64Array.from(target, (t, o) => {
      let y = q.bias[o]! - t;
      for (let r = 0; r < 2; r++) {
        const u = x.reduce((sum, xi, i) => sum + xi * q.a[r * 5 + i]!, 0);
        y += q.scaling * u * q.b[r * 7 + o]!;
      }
      return y;
    });
  const flat = differences(p, true, (q) => output(q).reduce((sum, d) => sum + (d * d) / 2, 0));
  return { flat, output: Float32Array.from(output(p)) };
}

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  describe.each(Object.keys(RULES))("%s", (name) => {
    const { method, rule } = RULES[name]!;
    const learning = { learningRate: 0.05, ewcLambda: 0, optimizer: method };

    test("ten requests follow the paper's formulas", async () => {
      using lora = await trainedLora({ ...SHAPE, kernels, learning });
      const adapter = lora.getAdapter("m")!;
      const step = rule();
      for (let t = 1; t <= 10; t++) {
        const x = floats(5, t);
        const { flat, output } = gradients(lora, x);
        const expected = Float64Array.from(flatOf(adapter));
        step(expected, flat, t);
        lora.learn(x, { gradient: output, module: "m" });
        expect(apart(flatOf(adapter), expected, 2e-4)).toEqual([]);
      }
    });

    test("micro-batches follow them with the mean of their gradients", async () => {
      using lora = await trainedLora({ ...SHAPE, kernels, learning });
      const adapter = lora.getAdapter("m")!;
      const step = rule();
      for (let t = 1; t <= 5; t++) {
        const mean = new Float64Array(31);
        for (const x of [floats(5, 2 * t), floats(5, 2 * t + 1)]) {
          const { flat, output } = gradients(lora, x);
          for (const [i, g] of flat.entries()) mean[i]! += g / 2;
          lora.adapt(x, { gradient: output, module: "m" });
        }
        const expected = Float64Array.from(flatOf(adapter));
        step(expected, mean, t);
        lora.applyUpdates();
        expect(apart(flatOf(adapter), expected, 2e-4)).toEqual([]);
      }
    });

    test("its state is saved: a restart goes on bit for bit", async () => {
      using lora = await trainedLora({ ...SHAPE, kernels, learning: { ...learning, ewcLambda: 1 } });
      const live = (one: MicroLora, from: number) => {
        for (let k = from; k < from + 8; k++) one.learn(floats(5, k), { gradient: floats(7, k + 1), reward: 0.5 });
        one.consolidate();
        for (let k = from; k < from + 3; k++) one.adapt(floats(5, k), { gradient: floats(7, k + 2) });
      };
      live(lora, 1);
      using back = await MicroLora.fromBytes(lora.toBytes(), { kernels, methods: METHODS });
      expectSameBytes(back.toBytes(), lora.toBytes());
      for (const one of [lora, back]) {
        one.applyUpdates();
        live(one, 30);
      }
      expectSameBytes(back.toBytes(), lora.toBytes());
    });

    test("huge and tiny gradients are taken or refused without a trace, and leave nothing that is not finite", async () => {
      for (const learningRate of [1e-30, 0.05, 1e10, 1e30]) {
        using lora = await trainedLora({ ...SHAPE, kernels, learning: { ...learning, learningRate, ewcLambda: 1e-6 } });
        await expectTakenOrRefused(lora, [1e-45, 1e-30, 1e-10, 1, 1e10, 1e18, 1e30], [1e-45, 1e-20, 1, 1e18, 1e30]);
      }
    });
  });
});

test.each([momentum(), adamw(), adaptiveRows()])(
  "a million steps of $name leave no NaN, and no denormals once the gradient is zero",
  async (optimizer) => {
    const learning = { learningRate: 1e-3, ewcLambda: 0, optimizer };
    using lora = await MicroLora.create({ hiddenSize: 4, rank: 1, targetModules: ["m"], learning });
    const adapter = lora.getAdapter("m")!;
    const [x, gradient, y] = [lora.allocate(4), lora.allocate(4), lora.allocate(4)];
    for (let k = 0; k < 1_000_000; k++) {
      // Half the time every second input is silent, so that its moments decay for long.
      for (let i = 0; i < 4; i++) {
        x[i] = i % 2 && k % 100_000 > 50_000 ? 0 : Math.sin(k + i);
        y[i] = 0;
      }
      lora.forwardAdd(x, "m", y);
      for (let i = 0; i < 4; i++) gradient[i] = k % 3 ? 0 : y[i]! - Math.cos(k * (i + 1));
      lora.learn(x, { gradient, module: "m" });
    }
    const { momentum: m, secondMoment: s, loraA, loraB } = adapter.exportState();
    for (const block of [m, s, loraA, loraB]) {
      expect((block ?? loraA).every((v) => v === 0 || (Number.isFinite(v) && Math.abs(v) >= 2 ** -126))).toBe(true);
    }
  },
);

test("clipping bounds the norm of a step, whatever the gradient", async () => {
  const learning = { learningRate: 0.1, ewcLambda: 0, clipNorm: 0.5 };
  using lora = await trainedLora({ ...SHAPE, learning });
  const adapter = lora.getAdapter("m")!;
  for (const scale of [0.01, 1, 100, 1e6]) {
    for (const reward of [1, -0.5]) {
      const before = flatOf(adapter);
      const gradient = floats(7, 3).map((g) => g * scale);
      const { gradientNorm } = lora.learn(floats(5, 2), { gradient, reward });
      const step = Math.hypot(...flatOf(adapter).map((w, i) => w - before[i]!));
      expect(step / (0.1 * Math.min(0.5, Math.abs(reward) * gradientNorm))).toBeCloseTo(1, 3);
    }
  }
  const before = flatOf(adapter);
  for (let k = 0; k < 3; k++) lora.adapt(floats(5, k), { gradient: floats(7, k).map((g) => g * 1e4) });
  lora.applyUpdates();
  expect(Math.hypot(...flatOf(adapter).map((w, i) => w - before[i]!))).toBeCloseTo(0.05, 4);
});

test("schedules by their formulas", () => {
  const rates = (schedule: ReturnType<typeof warmUp>, at: number[]) =>
    at.map((t) => Number(schedule.factorAt(t).toFixed(9)));
  expect(rates(warmUp(4), [1, 2, 4, 5, 1e6])).toEqual([0.25, 0.5, 1, 1, 1]);
  expect(rates(linearDecay({ warmUp: 2, updates: 12, floor: 0.2 }), [1, 2, 7, 12, 99])).toEqual([
    0.5, 1, 0.6, 0.2, 0.2,
  ]);
  expect(rates(cosineDecay({ updates: 10, floor: 0 }), [5, 10, 20])).toEqual([0.5, 0, 0]);
  expect(rates(inverseSquareRoot({ warmUp: 4 }), [1, 4, 16, 64])).toEqual([0.25, 1, 0.5, 0.25]);
});

test("the schedule is that of the updates, and goes on after a restart", async () => {
  const learning = { learningRate: 1, ewcLambda: 0, schedule: linearDecay({ warmUp: 2, updates: 4, floor: 0.5 }) };
  using lora = await MicroLora.create({ hiddenSize: 1, rank: 1, bias: true, targetModules: ["m"], learning });
  const one = Float32Array.of(1);
  const zero = Float32Array.of(0);
  const biasAfter = (model: MicroLora) => {
    model.learn(zero, { gradient: one });
    return model.getAdapter("m")!.bias![0]!;
  };
  expect([biasAfter(lora), biasAfter(lora)]).toEqual([-0.5, -1.5]);
  using back = await MicroLora.fromBytes(lora.toBytes(), { methods: METHODS });
  expect([biasAfter(back), biasAfter(back), biasAfter(back)]).toEqual([-2.25, -2.75, -3.25]);
});

test("a checkpoint says which code it needs", async () => {
  using lora = await MicroLora.create({ hiddenSize: 4, targetModules: ["m"], learning: { optimizer: adamw() } });
  const bytes = lora.toBytes();
  await expectRejection(MicroLora.fromBytes(bytes), "invalid-config", "learning.optimizer");
  await expectRejection(MicroLora.fromBytes(bytes, { methods: [momentum()] }), "invalid-config", "learning.optimizer");
  (await MicroLora.fromBytes(bytes, { methods: [adamw({ beta1: 0 })] }))[Symbol.dispose]();
});

test.each([
  { beta1: 1 },
  { beta2: 1 },
  { epsilon: 0 },
  { weightDecay: -1 },
  { beta1: 0.99, beta2: 0.5 },
  { beta3: 0.1 },
])("adamw refuses %o", (settings) => expectRefusal(() => adamw(settings as AdamWSettings), "invalid-config"));

test("what an optimiser keeps of one user", async () => {
  const floatsOf = async (optimizer: Method) => {
    const config = { hiddenSize: 768, rank: 2, targetModules: ["m"], learning: { ewcLambda: 0, optimizer } } as const;
    using lora = await MicroLora.create(config);
    lora.learn(floats(768, 1), { gradient: floats(768, 2), module: "m" });
    const { momentum: m, secondMoment: s } = lora.getAdapter("m")!.exportState();
    return (m?.length ?? 0) + (s?.length ?? 0);
  };
  expect(await floatsOf(sgd())).toBe(0);
  expect(await floatsOf(momentum())).toBe(3072);
  expect(await floatsOf(adamw())).toBe(6144);
  expect(await floatsOf(adaptiveRows())).toBe(4);
});
