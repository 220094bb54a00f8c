import { describe, expect, test } from "vitest";
import { expectRefusal, expectSameBytes } from "../base/refusals.test-support.js";
import { floats } from "../base/samples.test-support.js";
import { pageHinkley } from "../learner/boundaries.js";
import { EmbeddingIndex } from "./embedding-index.js";
import type { PersonalFeedback } from "./feedback.js";
import { Personalizer } from "./personalizer.js";
import type { PersonalizerConfig } from "./personalizer-config.js";
import type { DocumentId } from "./vector-index.js";

const N = 12;
const DOCUMENTS = Array.from({ length: 8 }, (_, j) => floats(N, j + 100));
const query = floats(N, 1, 3);

function make(config: Partial<PersonalizerConfig> = {}): Promise<Personalizer> {
  return Personalizer.create({ dimensions: N, ...config, slow: { learningRate: 0.02, ...config.slow } });
}

function cosine(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, v, i) => sum + v * b[i]!, 0) / (Math.hypot(...a) * Math.hypot(...b));
}

const score = (user: Personalizer, j: number) => cosine(user.transform(query), DOCUMENTS[j]!);

describe("kinds of feedback", () => {
  test.each<[string, number, object]>([
    ["rated up", 1, { rating: 1, item: 3 }],
    ["rated down", -1, { rating: -1, item: 3 }],
    ["chosen, others rejected", 1, { chosen: 3, rejected: [0, 1, 2] }],
    ["chosen from a list, with a weight", 1, { chosen: 3, shown: [0, 1, 2, 3], reward: 0.5 }],
    ["chosen by mistake", -1, { chosen: 3, shown: [0, 1, 2, 3], reward: -0.5 }],
    ["rated up, by its vector", 1, { rating: 0.7, item: DOCUMENTS[3] }],
  ])("%s", async (_, direction, kind) => {
    using index = await EmbeddingIndex.create(DOCUMENTS.map((vector, j) => [j, vector] as const));
    for (const recall of [false, {}] as const) {
      using user = await make({ recall });
      const before = score(user, 3);
      const ids = Object.values(kind).every((value) => !(value instanceof Float32Array));
      const feedback = { query, ...kind, ...(ids && { index }) } as unknown as PersonalFeedback<DocumentId>;
      for (let k = 0; k < 10; k++) expect(user.learn(feedback)).toMatchObject({ applied: true });
      expect(direction * (score(user, 3) - before)).toBeGreaterThan(0.03);
    }
  });

  test("a gradient at the transformed query, which goes to both speeds", async () => {
    using user = await make();
    const towards = DOCUMENTS[3]!.map((v) => -v);
    const before = score(user, 3);
    user.learn({ query, gradient: towards });
    expect(score(user, 3)).toBeGreaterThan(before);
    expect(user.clicks).toBe(1);
  });

  test("late, by the id of the query, in any order", async () => {
    using user = await make();
    user.keep("a", query, 1);
    user.keep("b", floats(N, 2), 2);
    user.learn({ request: "b", rating: 1, item: DOCUMENTS[0]! }, 3);
    const before = score(user, 3);
    user.learn({ request: "a", chosen: DOCUMENTS[3]!, shown: DOCUMENTS }, 4);
    expect(score(user, 3)).toBeGreaterThan(before);
    const state = user.toBytes();
    expectRefusal(() => user.learn({ request: "a", rating: 1, item: DOCUMENTS[0]! }, 5), "unknown-request");
    expectSameBytes(user.toBytes(), state);
  });

  test("a bare quality of an explored query", async () => {
    using user = await make({ recall: false, learning: { exploration: 0.2 }, slow: { learningRate: 0.0005 } });
    const before = score(user, 3);
    for (let k = 0; k < 1500; k++) {
      const served = user.explore(`r${k}`, query, k);
      user.learn({ request: `r${k}`, quality: cosine(served, DOCUMENTS[3]!) }, k);
    }
    expect(score(user, 3)).toBeGreaterThan(before + 0.3);
  });

  test.each<[string, object, Parameters<typeof expectRefusal>[1]]>([
    ["two kinds", { query, rating: 1, item: DOCUMENTS[0], chosen: DOCUMENTS[0], shown: DOCUMENTS }, "mixed-feedback"],
    ["no kind", { query }, "nothing-to-learn-from"],
    ["no query", { rating: 1, item: DOCUMENTS[0] }, "mixed-feedback"],
    ["a quality of a query that was not explored", { query, quality: 1 }, "nothing-to-learn-from"],
    ["a query of zeros", { query: new Float32Array(N), rating: 1, item: DOCUMENTS[0] }, "nothing-to-learn-from"],
    ["an unknown request", { request: "z", rating: 1, item: DOCUMENTS[0] }, "unknown-request"],
    ["a rating out of range", { query, rating: -2, item: DOCUMENTS[0] }, "out-of-range"],
    ["ids without an index", { query, rating: 1, item: 3 }, "invalid-config"],
  ])("%s is refused, and nothing changes", async (_, feedback, code) => {
    for (const learning of [{}, { guard: {}, replay: {}, boundary: pageHinkley(), undo: 2 }]) {
      using user = await make({ learning });
      user.learn({ query, rating: 1, item: DOCUMENTS[1]! });
      const before = user.toBytes();
      expectRefusal(() => user.learn(feedback as never), code);
      expectSameBytes(user.toBytes(), before);
    }
  });
});

describe("guard, boundary, limits and ways back", () => {
  const learning = {
    guard: { hold: 5, share: 3, every: 6 },
    boundary: pageHinkley({ threshold: 3, least: 10 }),
    replay: { bytes: 8192 },
    maxDelta: 1,
    undo: 2,
  };

  function live(user: Personalizer, from: number): void {
    for (let k = from; k < from + 60; k++) {
      const chosen = DOCUMENTS[(k < 60 ? k % 3 : 7) % 8]!;
      user.learn({ query: floats(N, 50 + (k % 9)), chosen, shown: DOCUMENTS });
      if (k % 5 === 0) user.keep(`r${k}`, floats(N, k), k);
    }
  }

  test("work on the slow weights, and are reported", async () => {
    using user = await make({ learning });
    live(user, 0);
    const { guard, pending, replay, capacity, undoable } = user.learner!.report();
    expect(guard!.held).toBe(5);
    expect(guard!.promoted + guard!.rejected).toBeGreaterThan(3);
    expect(replay!.count).toBeGreaterThan(0);
    expect(pending.count).toBe(12);
    expect(capacity.query!.norm).toBeLessThanOrEqual(1);
    expect(undoable).toBe(2);
    expect(user.learner!.undo(2)).toBe(2);
  });

  test("survive a restart, bit for bit", async () => {
    using user = await make({ learning });
    live(user, 0);
    using back = await Personalizer.fromBytes(user.toBytes(), { methods: [pageHinkley()] });
    expectSameBytes(back.toBytes(), user.toBytes());
    using fork = await Personalizer.forkFrom(user);
    expect(fork.learner!.report()).toMatchObject({ updates: 0, pending: { count: 0 }, replay: { count: 0 } });
    expect(fork.learner!.config).toEqual(user.learner!.config);
    for (const one of [user, back]) live(one, 60);
    expectSameBytes(back.toBytes(), user.toBytes());
  });
});
