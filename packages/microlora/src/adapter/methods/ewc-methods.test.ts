import { describe, expect, test } from "vitest";
import { expectRejection, expectSameBytes } from "../../base/refusals.test-support.js";
import { floats } from "../../base/samples.test-support.js";
import { KERNELS_NAMES } from "../../kernels/contract.js";
import { METHODS } from "../../learner/all-methods.js";
import { trainedLora } from "../adapters.test-support.js";
import type { LoraAdapter } from "../lora-adapter.js";
import { MicroLora } from "../micro-lora.js";
import { apart, differences, flatOf, type Parameters64, parametersOf } from "../reference.test-support.js";
import { ewcPlusPlus, onlineEwc, productEwc, rwalk } from "./ewc-methods.js";
import { expectTakenOrRefused } from "./extremes.test-support.js";
import type { Method } from "./method.js";
import { adamw } from "./optimizers.js";

const SHAPE = { rank: 2, inFeatures: 5, outFeatures: 7, bias: true };
const RATE = 0.05;
const DECAY = 0.9;

/** The flat gradient of one example, scaling * v (x) x, scaling * u (x) g and g, in float64. */
function gradient64(adapter: LoraAdapter, x: Float32Array, g: Float32Array): number[] {
  const { rank, inFeatures, outFeatures, scaling, a, b } = parametersOf(adapter);
  const dot = (row: ArrayLike<number>, at: number, y: Float32Array) => y.reduce((s, v, i) => s + v * row[at + i]!, 0);
  const rows = [...Array(rank).keys()];
  return [
    ...rows.flatMap((r) => [...x].map((v) => scaling * dot(b, r * outFeatures, g) * v)),
    ...rows.flatMap((r) => [...g].map((v) => scaling * dot(a, r * inFeatures, x) * v)),
    ...g,
  ];
}

const example = (k: number) => ({ x: floats(5, 10 * k + 1), g: floats(7, 10 * k + 2) });

function learn(lora: MicroLora, k: number, reward = 1): void {
  const { x, g } = example(k);
  lora.learn(x, { gradient: g, module: "m", reward });
}

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  const make = (ewc: Method, ewcLambda = 1) =>
    trainedLora({ ...SHAPE, kernels, learning: { learningRate: RATE, ewcLambda, fisherDecay: DECAY, ewc } });

  /** Three tasks of four examples each; gives the Fisher of each task, by its definition, and that over all of them. */
  async function tasks(ewc: Method) {
    const lora = await make(ewc, 0.01);
    const adapter = lora.getAdapter("m")!;
    let overall = new Array<number>(31).fill(0);
    const each: number[][] = [];
    for (let task = 0; task < 3; task++) {
      let running = new Array<number>(31).fill(0);
      for (let k = 0; k < 4; k++) {
        const { x, g } = example(4 * task + k);
        const squares = gradient64(adapter, x, g).map((v) => v * v);
        running = running.map((f, i) => DECAY * f + (1 - DECAY) * squares[i]!);
        overall = overall.map((f, i) => DECAY * f + (1 - DECAY) * squares[i]!);
        learn(lora, 4 * task + k);
      }
      each.push(running);
      lora.consolidate();
    }
    return { lora, adapter, each, overall };
  }

  test("online EWC sums the tasks' Fishers, decayed by gamma a task", async () => {
    for (const gamma of [1, 0.5, 0]) {
      const { lora, adapter, each } = await tasks(onlineEwc({ gamma }));
      const expected = each[0]!.map((f, i) => gamma * (gamma * f + each[1]![i]!) + each[2]![i]!);
      expect(apart(adapter.learningBlock("fisher")!, expected, 1e-4)).toEqual([]);
      expect(adapter.learningBlock("fisherRunning")).toBeUndefined();
      lora[Symbol.dispose]();
    }
  });

  test("EWC++ holds on by one moving average over all tasks", async () => {
    const { lora, adapter, overall } = await tasks(ewcPlusPlus());
    expect(apart(adapter.learningBlock("fisher")!, overall, 1e-4)).toEqual([]);
    expect(apart(adapter.learningBlock("anchor")!, flatOf(adapter), 0)).toEqual([]);
    lora[Symbol.dispose]();
  });

  test("RWalk: path scores by their formula, averaged over tasks, each part over its largest value", async () => {
    const epsilon = 0.01;
    using lora = await make(rwalk({ epsilon }), 0.01);
    const adapter = lora.getAdapter("m")!;
    let running = new Array<number>(31).fill(0);
    let kept: number[] | undefined;
    for (let task = 0; task < 3; task++) {
      let path = new Array<number>(31).fill(0);
      for (let k = 0; k < 4; k++) {
        const { x, g } = example(4 * task + k);
        const gradient = gradient64(adapter, x, g);
        running = running.map((f, i) => DECAY * f + (1 - DECAY) * gradient[i]! ** 2);
        const before = flatOf(adapter);
        learn(lora, 4 * task + k);
        const moved = flatOf(adapter).map((w, i) => w - before[i]!);
        path = path.map((s, i) => {
          const gain = Math.max(0, -gradient[i]! * moved[i]!);
          return s + gain / ((running[i]! * moved[i]! ** 2) / 2 + epsilon);
        });
      }
      expect(apart(adapter.learningBlock("path")!, path, 1e-3)).toEqual([]);
      lora.consolidate();
      kept = kept === undefined ? path : kept.map((s, i) => (s + path[i]!) / 2);
      const [f, s] = [Math.max(...running), Math.max(...kept)];
      const expected = running.map((value, i) => value / f + kept![i]! / s);
      expect(apart(adapter.learningBlock("fisher")!, expected, 1e-3)).toEqual([]);
    }
  });

  test("the penalty on A B: its pull agrees with finite differences of lambda / 2 sum p_i q_j (W - W*)_ij^2", async () => {
    const LAMBDA = 0.3;
    using lora = await make(productEwc(), LAMBDA);
    const adapter = lora.getAdapter("m")!;
    const [p, q] = [new Float64Array(5), new Float64Array(7)];
    for (let k = 0; k < 4; k++) {
      const { x, g } = example(k);
      for (const [i, v] of x.entries()) p[i] = DECAY * p[i]! + (1 - DECAY) * v * v;
      for (const [j, v] of g.entries()) q[j] = DECAY * q[j]! + (1 - DECAY) * v * v;
      learn(lora, k);
    }
    lora.consolidate();
    expect(apart(adapter.learningBlock("fisher")!, [...p, ...q, 1], 1e-4)).toEqual([]);
    const anchor = parametersOf(adapter);
    for (let k = 5; k < 9; k++) learn(lora, k);
    const now = parametersOf(adapter);
    const product = ({ a, b, scaling }: Parameters64, i: number, j: number) =>
      scaling * (a[i]! * b[j]! + a[5 + i]! * b[7 + j]!);
    const penalty = (at: Parameters64) => {
      let sum = 0;
      for (let j = 0; j < 7; j++) {
        sum += (LAMBDA / 2) * q[j]! * (at.bias[j]! - anchor.bias[j]!) ** 2;
        for (let i = 0; i < 5; i++) {
          sum += (LAMBDA / 2) * p[i]! * q[j]! * (product(at, i, j) - product(anchor, i, j)) ** 2;
        }
      }
      return sum;
    };
    const expected = differences(now, true, penalty).map((g) => -RATE * g);
    const before = flatOf(adapter);
    learn(lora, 1, 0);
    const moved = flatOf(adapter).map((w, i) => w - before[i]!);
    expect(Math.max(...expected.map(Math.abs))).toBeGreaterThan(1e-4);
    expect(apart(moved, expected, 0.005)).toEqual([]);
  });

  test("however strong, a pull on A B comes nearer to what was held, and does not overshoot", async () => {
    for (const lambda of [1, 1e3, 1e9]) {
      using lora = await make(productEwc(), lambda);
      const adapter = lora.getAdapter("m")!;
      for (let k = 0; k < 4; k++) learn(lora, k);
      lora.consolidate();
      const inputs = [...Array(6).keys()].map((k) => floats(5, 50 + k));
      const outputs = () => inputs.flatMap((x) => [...lora.forward(x, "m")]);
      const held = outputs();
      adapter.loraA.set(floats(10, 70, 0.6));
      adapter.loraB.set(floats(14, 71, 0.6));
      const distance = () => Math.hypot(...outputs().map((y, i) => y - held[i]!));
      const distances = [distance()];
      for (let k = 0; k < 400; k++) {
        learn(lora, 1, 0);
        if (k % 100 === 99) distances.push(distance());
      }
      for (let i = 1; i < distances.length; i++)
        expect(distances[i]!).toBeLessThanOrEqual(distances[i - 1]! * 1.001 + 1e-6);
      expect(distances.at(-1)!).toBeLessThan(lambda > 1 ? 0.3 * distances[0]! : distances[0]!);
    }
  });
});

const ALL: readonly Method[] = [onlineEwc({ gamma: 0.5 }), ewcPlusPlus(), rwalk(), productEwc()];

test.each(ALL)("$name survives a restart bit for bit, with a plain step and with Adam", async (ewc) => {
  for (const optimizer of [undefined, adamw()]) {
    const learning = { learningRate: 0.01, ewc, fisherDecay: 0.9, ...(optimizer && { optimizer }) };
    using lora = await trainedLora({ ...SHAPE, learning });
    const live = (one: MicroLora, from: number) => {
      for (let k = from; k < from + 5; k++) learn(one, k);
      one.consolidate();
      for (let k = from; k < from + 5; k++) learn(one, k + 5);
      for (let k = from; k < from + 3; k++) one.adapt(example(k).x, { gradient: example(k).g });
    };
    live(lora, 0);
    using back = await MicroLora.fromBytes(lora.toBytes(), { methods: METHODS });
    expectSameBytes(back.toBytes(), lora.toBytes());
    for (const one of [lora, back]) {
      one.applyUpdates();
      live(one, 30);
      one.reset();
      live(one, 60);
    }
    expectSameBytes(back.toBytes(), lora.toBytes());
  }
});

test.each(ALL)("$name: huge and tiny requests are taken or refused without a trace", async (ewc) => {
  for (const [learningRate, ewcLambda] of [
    [1e-30, 1e5],
    [0.05, 1e9],
    [1e10, 1e-5],
  ] as const) {
    using lora = await trainedLora({ ...SHAPE, learning: { learningRate, ewcLambda, ewc, fisherDecay: 0.5 } });
    await expectTakenOrRefused(lora, [1e-45, 1e-20, 1, 1e10, 1e18, 1e38], [1e-45, 1e-20, 1, 1e18, 1e38]);
  }
});

test("what each keeps of one user, in floats", async () => {
  const kept = async (ewc: Method) => {
    const config = { hiddenSize: 768, rank: 2, targetModules: ["m"], learning: { ewc } } as const;
    using lora = await MicroLora.create(config);
    for (let task = 0; task < 2; task++) {
      lora.learn(floats(768, 1), { gradient: floats(768, 2), module: "m" });
      if (task === 0) lora.consolidate();
    }
    const { fisher, fisherRunning, anchor, path, pathKept } = lora.getAdapter("m")!.exportState();
    return [fisher, fisherRunning, anchor, path, pathKept].reduce((sum, block) => sum + (block?.length ?? 0), 0);
  };
  expect(await Promise.all(ALL.map(kept))).toEqual([9216, 9216, 15360, 6145]);
});

test("a gamma that is none, and a method that is none, are refused", async () => {
  for (const ewc of [{ name: "online", settings: { gamma: 2 } }, { name: "ewc", settings: {} }, { name: 3 }, {}]) {
    const creation = MicroLora.create({ hiddenSize: 4, learning: { ewc: ewc as Method } });
    await expectRejection(creation, "invalid-config");
  }
});
