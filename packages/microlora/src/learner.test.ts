import { describe, expect, test } from "vitest";
import { expectRefusal, expectRejection, expectSameBytes } from "./base/refusals.test-support.js";
import { floats, uniformFrom, withElement } from "./base/samples.test-support.js";
import { partsOf, withHeader } from "./checkpoint/forge.test-support.js";
import { adwin, everyRequests, pageHinkley } from "./learn/boundaries.js";
import { deltaNorm } from "./learn/capacity.js";
import type { LearnerConfig } from "./learn/learner-config.js";
import { METHODS } from "./learn/methods.js";

import { adamw } from "./learn/optimizers.js";
import { loss64 } from "./learn/reference.test-support.js";
import type { AnyFeedback } from "./learn/signal.js";
import { Learner, type Request } from "./learner.js";
import { type LoadOptions, MicroLora } from "./micro-lora.js";

const N = 8;
const items = Array.from({ length: 6 }, (_, j) => floats(N, 40 + j));
const x = floats(N, 1);
const base = floats(N, 2);

async function make(config: LearnerConfig = {}, learning: object = {}): Promise<Learner> {
  const lora = await MicroLora.create({
    hiddenSize: N,
    rank: 2,
    bias: true,
    targetModules: ["m"],
    learning: { learningRate: 0.05, ewcLambda: 0, ...learning },
  });
  return new Learner(lora, config);
}

/** Serves an input: the base output and the delta. */
function serve(learner: Learner, input: Float32Array, from = base): Request & { output: Float32Array } {
  const output = from.slice();
  learner.lora.getAdapter("m")!.forwardAdd(input, output);
  return { x: input, output };
}

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = a.reduce((sum, v, i) => sum + v * b[i]!, 0);
  return dot / (Math.hypot(...a) * Math.hypot(...b));
}

const scoreOf = (learner: Learner, item: Float32Array, input = x) => cosine(serve(learner, input).output, item);
const click = (chosen = 3): AnyFeedback => ({ chosen: items[chosen]!, shown: items });

describe("each kind of feedback moves the output where it should", () => {
  test.each<[string, (k: number) => AnyFeedback, LearnerConfig]>([
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
    ] as AnyFeedback[]) {
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

describe("refused feedback leaves everything as it was", () => {
  const bad: readonly (readonly [what: string, feedback: object, code: Parameters<typeof expectRefusal>[1]])[] = [
    ["nothing", {}, "nothing-to-learn-from"],
    ["two kinds", { ...click(), rating: 1 }, "mixed-feedback"],
    ["a gradient with a quality", { gradient: floats(N, 1), quality: 1 }, "mixed-feedback"],
    ["an unknown key", { ...click(), weight: 1 }, "mixed-feedback"],
    ["chosen alone", { chosen: items[0]! }, "mixed-feedback"],
    ["shown and rejected", { ...click(), rejected: items }, "mixed-feedback"],
    ["an empty list", { chosen: items[0]!, shown: [] }, "nothing-to-learn-from"],
    ["chosen but not shown", { chosen: floats(N, 99), shown: items }, "not-shown"],
    ["a rating out of range", { rating: 1.5, item: items[0]! }, "out-of-range"],
    ["a rating that is no number", { rating: "up", item: items[0]! }, "not-finite"],
    ["a rating of nothing", { rating: 1 }, "shape-mismatch"],
    ["an item with NaN", { rating: 1, item: withElement(items[0]!, 2, Number.NaN) }, "not-finite"],
    ["an item of another width", { rating: 1, item: floats(N + 1, 1) }, "shape-mismatch"],
    ["a reward out of range", { ...click(), reward: 2 }, "out-of-range"],
    ["a gradient with Infinity", { gradient: withElement(x, 0, Number.POSITIVE_INFINITY) }, "not-finite"],
  ];

  test.each(bad)("%s", async (_, feedback, code) => {
    using learner = await make({ replay: {}, guard: {}, boundary: pageHinkley(), undo: 2 });
    for (let k = 0; k < 5; k++) learner.learn(serve(learner, floats(N, k)), click(k));
    learner.keep("a", serve(learner, x), 1);
    const before = learner.toBytes();
    expectRefusal(() => learner.learn(serve(learner, x), feedback as AnyFeedback), code);
    expectRefusal(() => learner.learn("a", feedback as AnyFeedback, 2), code);
    expectSameBytes(learner.toBytes(), before);
  });

  test("an input or an output that is wrong", async () => {
    using learner = await make({ guard: {} });
    const before = learner.toBytes();
    const wrong: readonly (readonly [Request, Parameters<typeof expectRefusal>[1]])[] = [
      [{ x: withElement(x, 1, Number.NaN) }, "not-finite"],
      [{ x: floats(N - 1, 1) }, "shape-mismatch"],
      [{ x, output: withElement(x, 1, Number.NaN) }, "not-finite"],
      [{ x, output: floats(N + 1, 1) }, "shape-mismatch"],
      [{ x, module: "other" }, "unknown-module"],
      [{ x, latencyMicroseconds: -1 }, "out-of-range"],
    ];
    for (const [request, code] of wrong) expectRefusal(() => learner.learn(request, click()), code);
    for (const [request, code] of wrong) expectRefusal(() => learner.keep("a", request, 1), code);
    expectRefusal(() => learner.explore("a", { x } as Request & { output: Float32Array }, 1), "shape-mismatch");
    expectRefusal(() => learner.keep(7 as never, serve(learner, x), 1), "unknown-request", "id");
    expectSameBytes(learner.toBytes(), before);
  });

  test("while disabled nothing is learned", async () => {
    using learner = await make();
    learner.lora.enabled = false;
    const before = learner.toBytes();
    expect(learner.learn(serve(learner, x), click())).toMatchObject({ applied: false, reason: "disabled" });
    expectSameBytes(learner.toBytes(), before);
  });
});

describe("poisoned streams", () => {
  const LIMIT = 2;
  const streams: Readonly<Record<string, (k: number) => AnyFeedback>> = {
    "all bad": (k) => ({ rating: -1, item: items[k % 6]! }),
    "the same click, 10,000 times": () => click(2),
    "contradicting clicks": (k) => click(k % 6),
    "huge gradients": (k) => ({ gradient: floats(N, k, 1e6) }),
    "always the worst": (k) => ({ chosen: items[k % 6]!, shown: items, reward: -1 }),
    "not a number": () => ({ gradient: withElement(x, 0, Number.NaN) }),
  };

  const ways: readonly (readonly [string, object])[] = [
    ["plain steps", {}],
    ["clipped steps", { clipNorm: 1 }],
    ["EWC", { ewcLambda: 1, fisherDecay: 0.9 }],
    ["AdamW", { learningRate: 0.01, optimizer: adamw() }],
  ];
  const cases = Object.keys(streams).flatMap((name) => ways.map(([way, learning]) => [name, way, learning] as const));

  test.each(cases)("%s, %s: stays within its limit, and good behaviour comes back", async (name, _, learning) => {
    using learner = await make({ maxDelta: LIMIT, guard: {}, boundary: adwin(), replay: { bytes: 4096 } }, learning);
    const adapter = learner.lora.getAdapter("m")!;
    for (let k = 0; k < 10_000; k++) {
      const input = floats(N, 200 + (k % 16));
      try {
        learner.learn(serve(learner, input), streams[name]!(k));
      } catch (error) {
        expect(error).toMatchObject({ name: "MicroLoraError" });
      }
      if (k % 100 === 0) expect(deltaNorm(adapter)).toBeLessThanOrEqual(LIMIT);
    }
    expect(deltaNorm(adapter)).toBeLessThanOrEqual(LIMIT);
    for (let k = 0; k < 2000; k++) learner.learn(serve(learner, x), click(3));
    const scores = items.map((item) => scoreOf(learner, item));
    expect(scores.indexOf(Math.max(...scores))).toBe(3);
  });

  test("the guard takes back what makes held-back feedback worse", async () => {
    using guarded = await make({ guard: { hold: 12, share: 3, every: 8 } });
    using bare = await make();
    const good = (k: number) => ({ input: floats(N, 300 + (k % 5)), chosen: k % 5 });
    for (const one of [guarded, bare]) {
      for (let k = 0; k < 300; k++) {
        const { input, chosen } = good(k);
        one.learn(serve(one, input), click(chosen));
      }
      // An attack by gradients, which are never held back, among good feedback that is.
      for (let k = 0; k < 60; k++) {
        one.learn({ x: floats(N, 300 + (k % 5)) }, { gradient: floats(N, 77, 3) });
      }
    }
    const right = (one: Learner) =>
      [0, 1, 2, 3, 4].filter((k) => {
        const scores = items.map((item) => cosine(serve(one, good(k).input).output, item));
        return scores.indexOf(Math.max(...scores)) === k;
      }).length;
    expect(guarded.report().guard!.rejected).toBeGreaterThan(0);
    expect(guarded.report().guard!.promoted).toBeGreaterThan(0);
    expect(right(guarded)).toBeGreaterThan(right(bare));
  });
});

describe("going back", () => {
  test("undo takes back updates, bit for bit, as far as it remembers", async () => {
    using learner = await make({ undo: 3 }, { ewcLambda: 1, optimizer: adamw() });
    const states = [learner.lora.exportState().adapters];
    for (let k = 0; k < 5; k++) {
      learner.learn(serve(learner, floats(N, k)), click(k));
      states.push(learner.lora.exportState().adapters);
    }
    expect(learner.undo(2)).toBe(2);
    expect(learner.lora.exportState().adapters).toEqual(states[3]);
    expect(learner.undo(9)).toBe(1);
    expect(learner.lora.exportState().adapters).toEqual(states[2]);
    expect(learner.undo()).toBe(0);
    for (const n of [-1, 1.5, Number.NaN]) expect(() => learner.undo(n)).toThrow(/Pass/);
  });

  test("snapshot and rollback; what is no snapshot is refused", async () => {
    using learner = await make({ guard: {} });
    learner.learn(serve(learner, x), click());
    const snapshot = learner.snapshot();
    for (let k = 0; k < 9; k++) learner.learn(serve(learner, floats(N, k)), click(k % 6));
    learner.rollback(snapshot);
    expect(learner.snapshot()).toEqual(snapshot);
    for (const nonsense of [[], [{ ...snapshot[0]!, loraA: floats(3, 1) }], [{ ...snapshot[0]!, module: "z" }]]) {
      expectRefusal(() => learner.rollback(nonsense), "corrupt-checkpoint");
    }
    expect(learner.snapshot()).toEqual(snapshot);
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

describe("a restart", () => {
  const config: LearnerConfig = {
    boundary: pageHinkley({ threshold: 2, least: 5 }),
    guard: { hold: 6, share: 3, every: 5 },
    replay: { bytes: 4096, perUpdate: 2 },
    maxDelta: 1.5,
    seed: 3,
  };
  const options: LoadOptions = { methods: METHODS };

  function live(learner: Learner, from: number): void {
    for (let k = from; k < from + 60; k++) {
      const gate = k % 5 ? 1 : 0.4;
      const request = { ...serve(learner, floats(N, k % 20)), gate, session: `s${k % 3}`, latencyMicroseconds: k };
      if (k % 4 === 0) learner.learn(request, { rating: k % 8 ? 1 : -1, item: items[k % 6]! });
      else if (k % 4 === 1) learner.learn(request, click(k % 6));
      else if (k % 4 === 2) learner.explore(`r${k}`, request, k);
      else learner.keep(`r${k}`, request, k);
      if (k % 4 === 3 && k >= 12) learner.learn(`r${k - 9}`, { quality: Math.sin(k) ** 2 }, k);
    }
  }

  test("goes on bit for bit", async () => {
    using learner = await make(config, { ewcLambda: 1, optimizer: adamw() });
    live(learner, 0);
    using back = await Learner.fromBytes(learner.toBytes(), options);
    expectSameBytes(back.toBytes(), learner.toBytes());
    live(learner, 60);
    live(back, 60);
    expectSameBytes(back.toBytes(), learner.toBytes());
  });

  test("what was exported is not touched by what comes later", async () => {
    using learner = await make(config);
    live(learner, 0);
    const state = learner.exportState();
    using then = await Learner.fromState(state, options);
    live(learner, 60);
    using again = await Learner.fromState(state, options);
    expectSameBytes(again.toBytes(), then.toBytes());
  });

  test("a state with any part missing or of another kind is refused, never a TypeError", async () => {
    using learner = await make(config);
    live(learner, 0);
    const state = learner.exportState();
    for (const nonsense of [undefined, -3, "state", [], {}]) {
      for (const key of Object.keys(state)) {
        const broken = { ...state, [key]: nonsense } as never;
        const outcome = await Learner.fromState(broken, options).then(
          () => `accepted ${key} ${String(nonsense)}`,
          (error: unknown) => (error as Error).name,
        );
        const fine = Array.isArray(nonsense) && ["boundaryState", "modules", "sessions"].includes(key);
        if (!fine) expect(outcome).toBe("MicroLoraError");
      }
    }
  });

  test("any field of a file that is missing, null or of another kind is refused, never a TypeError", async () => {
    using learner = await make(config);
    live(learner, 0);
    const bytes = learner.toBytes();
    const header: unknown = JSON.parse(partsOf(bytes).header);
    const uniform = uniformFrom(5);
    const paths = pathsOf(header);
    for (let k = 0; k < 600; k++) {
      const path = paths[Math.floor(uniform() * paths.length)]!;
      const lying = withHeader(bytes, (copy) => {
        const parent = path.slice(0, -1).reduce((at, key) => at[key], copy);
        const wrong = [undefined, null, -1, "text", [], {}, 1e300][Math.floor(uniform() * 7)];
        if (wrong === undefined) delete parent[path.at(-1)!];
        else parent[path.at(-1)!] = wrong;
      });
      const outcome = await Learner.fromBytes(lying, options).then(
        (accepted) => (Buffer.compare(accepted.toBytes(), lying) === 0 ? "MicroLoraError" : "read as something else"),
        (error: unknown) => (error as Error).name,
      );
      expect(outcome, path.join(".")).toBe("MicroLoraError");
    }
  });

  test("truncated or flipped bytes are refused", async () => {
    using learner = await make(config);
    live(learner, 0);
    const bytes = learner.toBytes();
    await expectRejection(Learner.fromBytes(bytes.subarray(0, 500), options), "truncated-checkpoint");
    const flipped = bytes.slice();
    flipped[900]! ^= 4;
    await expectRejection(Learner.fromBytes(flipped, options), "checksum-mismatch");
    await expectRejection(MicroLora.fromBytes(bytes, options), "not-a-checkpoint");
    await expectRejection(Learner.fromBytes(bytes), "invalid-config", "boundary");
  });
});

function pathsOf(value: unknown): string[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => [[key], ...pathsOf(child).map((path) => [key, ...path])]);
}
