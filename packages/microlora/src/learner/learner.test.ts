import { describe, expect, test } from "vitest";
import { expectRefusal, expectRejection, expectSameBytes } from "../base/refusals.test-support.js";
import { floats } from "../base/samples.test-support.js";
import { everyRequests, pageHinkley } from "./boundaries.js";
import type { LearnerConfig } from "./config.js";
import { loss64 } from "./feedback/reference.test-support.js";
import type { Feedback } from "./feedback/signal.js";
import { Learner } from "./learner.js";
import { base, click, cosine, items, make, N, scoreOf, serve, x } from "./learner.test-support.js";

describe("each kind of feedback moves the output where it should", () => {
  test.each<[string, (k: number) => Feedback, LearnerConfig]>([
    ["chosen among shown", () => click(), {}],
    ["chosen, others rejected", () => ({ chosen: items[3]!, rejected: [items[0]!, items[1]!] }), {}],
    ["chosen, by a triplet margin", () => click(), { margin: 0.3 }],
    ["chosen, by inner products", () => click(), { score: "dot", temperature: 1 }],
    ["rated up", () => ({ rating: 1, item: items[3]! }), {}],
  ])("%s", async (_, feedback, config) => {
    using learner = await make(config);
    const before = scoreOf(learner, items[3]!);
    for (let k = 0; k < 30; k++) learner.learn(serve(learner, x), feedback(k));
    expect(scoreOf(learner, items[3]!)).toBeGreaterThan(before + 0.1);
  });

  test("rated down moves away, and a negative reward too", async () => {
    for (const feedback of [
      { rating: -1, item: items[3]! },
      { ...click(), reward: -0.5 },
    ] as Feedback[]) {
      using learner = await make();
      const before = scoreOf(learner, items[3]!);
      for (let k = 0; k < 20; k++) learner.learn(serve(learner, x), feedback);
      expect(scoreOf(learner, items[3]!)).toBeLessThan(before - 0.1);
    }
  });

  test("a gradient is taken as it is", async () => {
    using learner = await make();
    using plain = await make();
    const gradient = floats(N, 9);
    learner.learn({ x }, { gradient, reward: -0.5 });
    plain.lora.learn(x, { gradient, reward: -0.5, module: "m" });
    expectSameBytes(learner.lora.toBytes(), plain.lora.toBytes());
  });

  test("through a gate, by dLoss/dbias of base + gate * delta by central differences", async () => {
    using learner = await make({ temperature: 0.3 });
    const adapter = learner.lora.adapterOf("m");
    adapter.loraB.set(floats(2 * N, 21));
    adapter.bias!.set(floats(N, 22));
    const gate = 0.35;
    const delta = serve(learner, x, new Float32Array(N)).output;
    const output = base.map((v, i) => v + gate * delta[i]!);
    const loss = (i: number, h: number) =>
      loss64(
        output.map((v, j) => v + (i === j ? gate * h : 0)),
        items,
        3,
        0.3,
      );
    const before = adapter.bias!.slice();
    const late = learner.exportState();
    learner.learn({ x, output, gate }, click());
    for (const i of before.keys()) {
      const slope = (loss(i, 1e-3) - loss(i, -1e-3)) / 2e-3;
      expect((before[i]! - adapter.bias![i]!) / 0.05).toBeCloseTo(slope, 3);
    }
    using again = await Learner.fromState(late);
    again.keep("a", { x, output, gate }, 1);
    again.learn("a", click(), 2);
    expectSameBytes(again.lora.toBytes(), learner.lora.toBytes());
    for (const wrong of [-0.1, 1.1])
      expectRefusal(() => learner.learn({ x, gate: wrong }, click()), "out-of-range", "gate");
  });

  test("a batch learns each choice against the others' choices", async () => {
    using learner = await make();
    const inputs = [floats(N, 11), floats(N, 12), floats(N, 13)];
    const right = () =>
      inputs.filter((input, i) => {
        const scores = inputs.map((_, j) => cosine(serve(learner, input).output, items[j]!));
        return scores.indexOf(Math.max(...scores)) === i;
      }).length;
    expect(right()).toBeLessThan(3);
    for (let k = 0; k < 60; k++) {
      learner.learnBatch(inputs.map((input, i) => ({ request: serve(learner, input), chosen: items[i]! })));
    }
    expect(right()).toBe(3);
  });
});

describe("explored requests and bare scores", () => {
  /** The cosine to a target before and after n requests; the quality told is the cosine of what was explored. */
  async function explored(n: number, seed: number): Promise<{ before: number; after: number }> {
    using learner = await make({ exploration: 0.3, seed }, { learningRate: 0.0005 });
    const before = scoreOf(learner, items[3]!);
    for (let k = 0; k < n; k++) {
      const request = serve(learner, x);
      learner.explore(`r${k}`, request, k);
      learner.learn(`r${k}`, { quality: (1 + cosine(request.output, items[3]!)) / 2 }, k);
    }
    return { before, after: scoreOf(learner, items[3]!) };
  }

  test("converge, on every one of five seeds", async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const { before, after } = await explored(1500, seed);
      expect(after, `seed ${seed}: from ${before}`).toBeGreaterThan(0.95);
    }
  });

  test("without an exploration there is nothing to learn from", async () => {
    using learner = await make();
    learner.keep("a", serve(learner, x), 1);
    const before = learner.toBytes();
    expectRefusal(() => learner.learn(serve(learner, x), { quality: 1 }), "nothing-to-learn-from");
    expectRefusal(() => learner.learn("a", { quality: 1 }, 1), "nothing-to-learn-from");
    expectSameBytes(learner.toBytes(), before);
  });

  test("the first scores only make the baseline", async () => {
    using learner = await make();
    for (const [k, reason] of [
      [0, "no-baseline"],
      [1, "no-baseline"],
      [2, null],
    ] as const) {
      learner.explore(`r${k}`, serve(learner, x), k);
      expect(learner.learn(`r${k}`, { quality: k % 2 }, k)).toMatchObject({ reason, applied: reason === null });
    }
  });

  test("the noise is the same one after a restart", async () => {
    using learner = await make({ seed: 7 });
    using back = await Learner.fromBytes(learner.toBytes());
    const outputs = [learner, back].map((one) => {
      const request = serve(one, x);
      one.explore("a", request, 1);
      return [...request.output];
    });
    expect(outputs[1]).toEqual(outputs[0]);
  });
});

describe("late feedback", () => {
  test("counts as if it had been given now, with the input of then", async () => {
    using late = await make();
    using now = await make();
    late.keep("a", serve(late, x), 10);
    for (const one of [late, now]) one.learn(serve(one, floats(N, 5)), click(1));
    late.learn("a", click(3), 20);
    now.learn(serve(now, x), click(3));
    const [a, b] = [late, now].map((one) => one.lora.getAdapter("m")!.loraB);
    for (const [i, value] of a!.entries()) expect(value).toBeCloseTo(b![i]!, 5);
  });

  test("comes in any order, once, and not too late", async () => {
    using learner = await make({ pending: { age: 100 } });
    for (const [k, id] of ["a", "b", "c"].entries()) learner.keep(id, serve(learner, x), 10 * k);
    learner.learn("c", click(), 50);
    learner.learn("a", click(), 60);
    const before = learner.toBytes();
    for (const [id, time, code] of [
      ["a", 61, "unknown-request"],
      ["z", 61, "unknown-request"],
      ["b", 1000, "expired-request"],
      ["b", 59, "clock-backwards"],
    ] as const) {
      expectRefusal(() => learner.learn(id, click(), time), code);
    }
    expectRefusal(() => learner.keep("b", serve(learner, x), 62), "unknown-request", "id");
    expectRefusal(() => learner.keep("d", serve(learner, x), 59), "clock-backwards", "now");
    expectRefusal(() => learner.keep("d", serve(learner, x), Number.NaN), "not-finite", "now");
    expectSameBytes(learner.toBytes(), before);
    learner.learn("b", click(), 62);
  });

  test("is bounded in count and in bytes: the oldest make room", async () => {
    using few = await make({ pending: { count: 3 } });
    using small = await make({ pending: { bytes: 700 } });
    for (const one of [few, small]) {
      for (let k = 0; k < 1000; k++) one.keep(`r${k}`, serve(one, x), k);
      const { count, bytes } = one.report().pending;
      expect(count).toBe(3);
      expect(bytes).toBeLessThan(700);
      expectRefusal(() => one.learn("r996", click(), 1000), "unknown-request");
      one.learn("r997", click(), 1000);
    }
  });
});

test("a boundary consolidates: by a schedule, and where the loss rises", async () => {
  using scheduled = await make({ boundary: everyRequests(10) }, { ewcLambda: 1 });
  for (let k = 0; k < 35; k++) {
    const { boundary } = scheduled.learn(serve(scheduled, x), click());
    expect(boundary).toBe(k % 10 === 9);
  }
  expect(scheduled.report().boundaries).toBe(3);
  expect(scheduled.lora.getAdapter("m")!.learningBlock("anchor")).toBeDefined();

  using detected = await make({ boundary: pageHinkley({ threshold: 5, least: 20 }) }, { ewcLambda: 1 });
  const boundaries: number[] = [];
  for (let k = 0; k < 200; k++) {
    if (detected.learn(serve(detected, x), click(k < 100 ? 3 : 1)).boundary) boundaries.push(k);
  }
  expect(boundaries.length).toBeGreaterThanOrEqual(1);
  expect(boundaries[0]!).toBeGreaterThanOrEqual(100);
  expect(boundaries[0]!).toBeLessThan(130);
});

test("replay keeps a bounded sample, and what it replays is not forgotten", async () => {
  const task = (k: number, t: number) => ({ input: floats(N, 500 + 10 * t + (k % 4)), chosen: t });
  const loss = async (config: LearnerConfig) => {
    using learner = await make(config);
    for (const t of [0, 1, 2]) {
      for (let k = 0; k < 150; k++) {
        const { input, chosen } = task(k, t);
        learner.learn(serve(learner, input), click(chosen));
      }
    }
    const replay = learner.report().replay;
    if (replay !== null) expect(replay.bytes).toBeLessThanOrEqual(8192);
    return [0, 1, 2, 3].reduce((sum, k) => sum + scoreOf(learner, items[0]!, task(k, 0).input), 0);
  };
  expect(await loss({ replay: { bytes: 8192, perUpdate: 2 } })).toBeGreaterThan(await loss({}));
});

test("statistics a session and a module, with latencies", async () => {
  using learner = await make();
  for (let k = 1; k <= 100; k++) {
    const session = k % 2 ? "odd" : "even";
    const request = { ...serve(learner, x), session, latencyMicroseconds: 10 * k };
    learner.learn(request, { rating: k % 2 ? 1 : -0.5, item: items[0]! });
  }
  const { sessions, modules } = learner.report();
  expect(sessions.odd).toMatchObject({ count: 50, meanReward: 1 });
  expect(sessions.even).toMatchObject({ count: 50, meanReward: -0.5 });
  const { p50, p99 } = modules.m!.latency!;
  expect(Math.abs(p50 / 500 - 1)).toBeLessThan(0.2);
  expect(Math.abs(p99 / 990 - 1)).toBeLessThan(0.2);
});

test("the latency and the session of a kept request count when its feedback comes", async () => {
  using learner = await make();
  learner.keep("a", { ...serve(learner, x), session: "s", latencyMicroseconds: 100 }, 1);
  learner.learn("a", { rating: 1, item: items[0]! }, 2);
  const { latency, count } = learner.report().sessions.s!;
  expect(count).toBe(1);
  expect(Math.abs(latency!.p50 / 100 - 1)).toBeLessThan(0.2);
});

test("report says how much of the adapter is in use", async () => {
  using learner = await make();
  expect(learner.report().capacity.m).toMatchObject({ effectiveRank: 0, norm: 0 });
  const adapter = learner.lora.getAdapter("m")!;
  adapter.loraA.set([1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
  adapter.loraB.set([0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0]);
  const { singularValues, effectiveRank, norm } = learner.report().capacity.m!;
  expect(singularValues.map((v) => v / adapter.scaling)).toEqual([3, 3].map((v) => expect.closeTo(v, 5)));
  expect(effectiveRank).toBeCloseTo(2, 6);
  expect(norm).toBeCloseTo(adapter.scaling * Math.sqrt(18), 4);
  adapter.loraB.fill(0, N);
  expect(learner.report().capacity.m!.effectiveRank).toBeCloseTo(1, 6);
});

test("options that do not exist, and what is none, are refused by name", async () => {
  const refused: readonly (readonly [where: string, config: unknown])[] = [
    ["config.replays", { replays: {} }],
    ["guard.often", { guard: { often: 3 } }],
    ["replay", { replay: 5 }],
    ["pending.most", { pending: { most: 1 } }],
    ["boundary", { boundary: "adwin" }],
    ["boundary", { boundary: pageHinkley }],
  ];
  for (const [where, config] of refused) await expectRejection(make(config as LearnerConfig), "invalid-config", where);
});

test("a batch that is no list of choices, and a request that is none, are refused", async () => {
  using learner = await make();
  for (const batch of [null, {}, [undefined]])
    expectRefusal(() => learner.learnBatch(batch as never), "nothing-to-learn-from", "batch");
  for (const request of [null, undefined, 5])
    expectRefusal(() => learner.learn(request as never, click()), "unknown-request", "request");
});
