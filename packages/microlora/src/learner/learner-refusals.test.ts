import { describe, expect, test } from "vitest";
import { deltaNorm } from "../adapter/delta-limit.js";
import { adamw } from "../adapter/methods/optimizers.js";
import { expectRefusal, expectSameBytes } from "../base/refusals.test-support.js";
import { floats, withElement } from "../base/samples.test-support.js";
import { adwin, pageHinkley } from "./boundaries.js";
import type { LearnerConfig } from "./config.js";
import type { Feedback } from "./feedback/signal.js";
import type { Learner, Request } from "./learner.js";
import { click, cosine, items, make, N, scoreOf, serve, x } from "./learner.test-support.js";

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
    expectRefusal(() => learner.learn(serve(learner, x), feedback as Feedback), code);
    expectRefusal(() => learner.learn("a", feedback as Feedback, 2), code);
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
  const streams: Readonly<Record<string, (k: number) => Feedback>> = {
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

  async function poisoned(name: string, config: LearnerConfig, learning: object): Promise<Learner> {
    const learner = await make({ maxDelta: LIMIT, guard: {}, boundary: adwin(), ...config }, learning);
    const adapter = learner.lora.getAdapter("m")!;
    for (let k = 0; k < 10_000; k++) {
      const input = floats(N, 200 + (k % 16));
      try {
        learner.learn(serve(learner, input), streams[name]!(k));
      } catch (error) {
        expect(error).toMatchObject({ name: "MicroLoraError" });
      }
      if (k % 100 === 0) expect(deltaNorm(adapter).norm).toBeLessThanOrEqual(LIMIT);
    }
    expect(deltaNorm(adapter).norm).toBeLessThanOrEqual(LIMIT);
    return learner;
  }

  test.each(cases)("%s, %s: stays within its limit, though it is replayed", async (name, _, learning) => {
    (await poisoned(name, { replay: { bytes: 4096 } }, learning)).close();
  });

  test.each(cases)("%s, %s: good behaviour comes back", async (name, _, learning) => {
    using learner = await poisoned(name, {}, learning);
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
