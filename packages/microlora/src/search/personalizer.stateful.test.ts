import fc from "fast-check";
import { expect, test } from "vitest";
import { MicroLoraError } from "../base/errors.js";
import { floats } from "../base/samples.test-support.js";
import { Runtime } from "../kernels/runtime.js";
import { METHODS } from "../learner/all-methods.js";
import { everyRequests } from "../learner/boundaries.js";
import { cosine64, loss64 } from "../learner/feedback/reference.test-support.js";
import { EmbeddingIndex } from "./embedding-index.js";
import type { PersonalFeedback } from "./feedback.js";
import { Personalizer } from "./personalizer.js";
import type { PersonalizerConfig } from "./personalizer-config.js";
import { decodePrepared, encodePrepared, type PreparedFeedback } from "./prepared.js";

/** Sequences of calls; `STATEFUL` asks for more. */
const SEQUENCES = Number(process.env.STATEFUL ?? 200);
const N = 5;
const ROWS = 4;
const PENDING_BYTES = 1500;
const TEMPERATURE = 0.1;

/** What float32 leaves open of a cosine: the sum of the query and what was learned is rounded, coarsely where they cancel. */
function roundingOf(query: Float32Array, moved: Float32Array): number {
  return (2 ** -22 * (2 * Math.hypot(...query))) / Math.hypot(...moved);
}

type Call =
  | { readonly do: "learn" | "prepare"; readonly kind: number; readonly seed: number; readonly with: number }
  | { readonly do: "keep" | "explore"; readonly id: number; readonly seed: number }
  | { readonly do: "late"; readonly id: number; readonly kind: number; readonly seed: number }
  | { readonly do: "rank" | "search"; readonly seed: number }
  | { readonly do: "add" | "remove"; readonly id: number; readonly seed: number }
  | { readonly do: "undo"; readonly n: number }
  | { readonly do: "wrong"; readonly which: number }
  | { readonly do: "apply" | "consolidate" | "fork" | "reload" | "squeeze" | "toggle" };

const seed = fc.nat(30);
const id = fc.nat(7);
const kind = fc.nat(7);
const call: fc.Arbitrary<Call> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constantFrom("learn", "learn", "learn", "prepare"), kind, seed, with: fc.nat(2) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("keep", "explore"), id, seed }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("late" as const), id, kind, seed }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("rank", "search"), seed }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("add", "remove"), id, seed }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("undo" as const), n: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wrong" as const), which: fc.nat(9) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom("apply", "consolidate", "fork", "reload", "squeeze", "squeeze", "toggle"),
    }),
  },
);

const config: fc.Arbitrary<Omit<PersonalizerConfig, "dimensions">> = fc.record({
  slow: fc.constantFrom({}, { gated: false }, { rank: 1, ewcLambda: 1, gated: false }, false),
  recall: fc.constantFrom({ rows: ROWS }, { rows: 2, mergeSimilarity: null }, { rows: ROWS, nullSimilarity: 0 }),
  items: fc.boolean(),
  learning: fc.record({
    pending: fc.constant({ bytes: PENDING_BYTES }),
    guard: fc.constantFrom(null, null, { hold: 4, share: 2, every: 3 }),
    replay: fc.constantFrom(null, null, { bytes: 900, perUpdate: 1 }),
    boundary: fc.constantFrom(null, everyRequests(3)),
    undo: fc.constantFrom(0, 3),
  }),
}) as fc.Arbitrary<Omit<PersonalizerConfig, "dimensions">>;

const DOCUMENTS = Array.from({ length: 8 }, (_, j) => floats(N, 60 + j));
const SHOWN = [0, 1, 2, 3];

/** Feedback of each kind: clicks with ids, embeddings and scores, nothing clicked, ratings, stars, gradients, a quality. */
function bodyOf(kindOf: number, of: number): object {
  const bodies: readonly object[] = [
    { chosen: DOCUMENTS[of % 4], shown: DOCUMENTS.slice(0, 4) },
    { chosen: of % 4, shown: SHOWN, scores: SHOWN.map((each) => (each * of) % 5) },
    { chosen: of % 4, shown: SHOWN },
    { chosen: null, shown: SHOWN },
    { rating: (of % 5) / 2 - 1, item: DOCUMENTS[of % 8] },
    { stars: 0.5 + (of % 10) / 2, item: of % 8 },
    { gradient: floats(N, of, of % 7 === 0 ? 1e6 : 1) },
    { quality: of / 30 },
  ];
  return bodies[kindOf]!;
}

const WRONG: readonly ((user: Personalizer, index: EmbeddingIndex<number>) => unknown)[] = [
  (user) => user.learn({ query: floats(N + 1, 1), chosen: DOCUMENTS[0]!, shown: DOCUMENTS }),
  (user) => user.learn({ query: new Float32Array(N), chosen: DOCUMENTS[0]!, shown: DOCUMENTS }),
  (user) => user.learn({ query: floats(N, 1), gradient: floats(N, 1).fill(Number.NaN) }),
  (user, index) => user.learn({ query: floats(N, 1), chosen: 99, shown: [99, 1], index }),
  (user) => user.learn({ request: "nobody", rating: 1, item: DOCUMENTS[0]! } as never, 1e12),
  (user) => user.learn(undefined as never),
  (user) => user.apply({} as never),
  (user, index) => user.rank(floats(N, 1), [77], { index }),
  (user, index) => user.search(floats(N, 1), index, -1),
  (user) => user.prepare({ query: floats(N, 1), stars: 9, item: DOCUMENTS[0]! }),
];

/** One user, a twin in another memory, an index that both search, and the state of the walk. */
class Walk {
  now = 1;
  held: number[] = [];
  twin: Personalizer;
  prepared: PreparedFeedback | null = null;

  constructor(
    readonly user: Personalizer,
    readonly index: EmbeddingIndex<number>,
    readonly elsewhere: Runtime,
  ) {
    this.twin = this.#loaded();
  }

  /** A call that is refused changes no byte; one that is not does the same to the twin. */
  step(each: Call): unknown {
    if (each.do === "squeeze") return this.#squeeze();
    if (each.do === "reload") return this.#renew();
    const before = this.user.toBytes();
    const documents = this.#documents();
    this.now++;
    try {
      this.#follow(each, this.#run(this.user, each), before);
    } catch (error) {
      if (!(error instanceof MicroLoraError)) throw error;
      const told = `${each.do} was refused: ${error.message}`;
      expect(Buffer.compare(this.user.toBytes(), before), told).toBe(0);
      expect(this.#documents(), told).toEqual(documents);
    }
    expect(this.user.exportState().recall!.scales.length).toBeLessThanOrEqual(ROWS);
    if (this.user.learner !== null) expect(this.user.learner.report().pending.bytes).toBeLessThanOrEqual(PENDING_BYTES);
    return undefined;
  }

  close(): void {
    for (const pointer of this.held) this.user.runtime.free(pointer);
    this.user.close();
    this.twin.close();
    this.index.close();
  }

  #follow(each: Call, result: unknown, before: Uint8Array): unknown {
    if (each.do === "wrong" && this.user.enabled) throw new Error(`was accepted: ${String(WRONG[each.which])}`);
    if (each.do === "undo") return this.#renew();
    if (["add", "remove", "fork"].includes(each.do)) return undefined;
    expect(this.#run(this.twin, each)).toEqual(result);
    const bytes = this.user.toBytes();
    expect(Buffer.compare(this.twin.toBytes(), bytes), `the twin differs after ${each.do}`).toBe(0);
    if (["rank", "search", "prepare"].includes(each.do)) expect(Buffer.compare(bytes, before)).toBe(0);
    return undefined;
  }

  /** The documents; what was measured of them may be kept beside them at any time. */
  #documents(): unknown {
    return this.index.ids().map((each) => [each, this.index.vectorOf(each)]);
  }

  #run(user: Personalizer, each: Call): unknown {
    const { index } = this;
    switch (each.do) {
      case "learn":
        return this.#learn(user, each);
      case "prepare":
        this.prepared = user.prepare(this.#feedback(each));
        expect(decodePrepared(encodePrepared(this.prepared))).toEqual(this.prepared);
        return this.prepared;
      case "apply":
        return this.prepared && user.apply(this.prepared);
      case "keep":
        return user.keep(`r${each.id}`, floats(N, each.seed), this.now);
      case "explore":
        return user.explore(`r${each.id}`, floats(N, each.seed), this.now);
      case "late":
        return user.learn(
          { request: `r${each.id}`, ...bodyOf(each.kind, each.seed), index } as unknown as PersonalFeedback<number>,
          this.now,
        );
      case "rank":
        return user.rank(floats(N, each.seed), [0, 1, 2], { index, scores: [each.seed, 1, 2] });
      case "search":
        return this.#search(user, floats(N, each.seed));
      case "add":
        return index.replace(each.id, DOCUMENTS[each.seed % 8]!);
      case "remove":
        return index.remove(each.id);
      case "consolidate":
        return user.consolidate();
      case "undo":
        return user.learner?.undo(each.n);
      case "toggle":
        user.enabled = !user.enabled;
        return;
      case "fork":
        return;
      case "wrong":
        return WRONG[each.which]!(user, index);
      default:
        throw new Error(each.do);
    }
  }

  #feedback({ kind: kindOf, seed: of, with: withIndex }: Extract<Call, { do: "learn" | "prepare" }>) {
    const index = withIndex === 0 ? {} : { index: this.index };
    return { query: floats(N, of), ...bodyOf(kindOf, of), ...index } as unknown as PersonalFeedback<number>;
  }

  /** The loss of a click on embeddings is that of float64 at the transformed query; feedback that is learned from counts. */
  #learn(user: Personalizer, each: Extract<Call, { do: "learn" | "prepare" }>): unknown {
    const { clicks, enabled } = user;
    const y = each.kind === 0 ? user.transform(floats(N, each.seed), each.with === 0 ? undefined : this.index) : null;
    const result = user.learn(this.#feedback(each));
    if (each.kind !== 7) expect(user.clicks).toBe(clicks + (enabled ? 1 : 0));
    if (y !== null && enabled) {
      const loss = loss64(y, DOCUMENTS.slice(0, 4), each.seed % 4, TEMPERATURE);
      const tolerance = 5e-4 + (2 * roundingOf(floats(N, each.seed), y)) / TEMPERATURE;
      expect(Math.abs(result.loss! - loss)).toBeLessThan(tolerance);
    }
    return result;
  }

  /** Of documents that were never chosen, the scores are cosines to the transformed query; all come best first. */
  #search(user: Personalizer, query: Float32Array): unknown {
    const hits = user.search(query, this.index, 5);
    const y = user.transform(query, this.index);
    const tolerance = 5e-5 + roundingOf(query, y);
    const chosen = new Set(user.exportState().items?.counts.map(([each]) => each));
    expect(hits).toHaveLength(Math.min(5, this.index.size));
    for (const [rank, hit] of hits.entries()) {
      expect(hit.score).toBeLessThanOrEqual(hits[Math.max(0, rank - 1)]!.score);
      if (!chosen.has(hit.id) || !user.enabled)
        expect(Math.abs(hit.score - cosine64(y, this.index.vectorOf(hit.id)!))).toBeLessThan(tolerance);
    }
    return hits;
  }

  /** Fills the memory up, or gives it free again. */
  #squeeze(): void {
    const { runtime } = this.user;
    if (this.held.length > 0) {
      for (const pointer of this.held.splice(0)) runtime.free(pointer);
      return;
    }
    for (let size = 2 ** 14; size >= 4; size /= 2) {
      try {
        for (;;) this.held.push(runtime.allocate(size));
      } catch {}
    }
  }

  #renew(): void {
    this.twin.close();
    this.twin = this.#loaded();
  }

  #loaded(): Personalizer {
    const bytes = this.user.toBytes();
    const twin = Personalizer.fromBytesSync(bytes, { runtime: this.elsewhere, methods: METHODS });
    expect(Buffer.compare(twin.toBytes(), bytes), "what was loaded is not what was saved").toBe(0);
    return twin;
  }
}

test(`${SEQUENCES} random sequences of calls: refusals change nothing, and a twin that is loaded goes on alike`, async () => {
  const runtime = await Runtime.create({ memoryBytes: 131_072, kernels: "simd" });
  const elsewhere = await Runtime.create({ memoryBytes: 2 ** 20, kernels: "simd" });
  await fc.assert(
    fc.asyncProperty(config, fc.array(call, { minLength: 5, maxLength: 30 }), async (settings, calls) => {
      const index = await EmbeddingIndex.create(
        DOCUMENTS.map((vector, j) => [j, vector] as const),
        { runtime },
      );
      const user = Personalizer.createSync({ dimensions: N, ...settings, runtime });
      const walk = new Walk(user, index, elsewhere);
      try {
        for (const each of calls) {
          walk.step(each);
          if (each.do === "fork" && walk.held.length === 0) await expectApart(user);
        }
      } finally {
        walk.close();
      }
    }),
    { numRuns: SEQUENCES },
  );
}, 1_200_000);

/** A fork has what is general and nothing else, and learns without touching the other. */
async function expectApart(user: Personalizer): Promise<void> {
  const before = user.toBytes();
  using fork = await Personalizer.forkFrom(user);
  const { clicks, recall, items, learner } = fork.exportState();
  expect({ clicks, kept: recall!.scales.length, counts: items?.counts ?? [] }).toEqual({
    clicks: 0,
    kept: 0,
    counts: [],
  });
  expect(learner?.pending?.requests ?? []).toHaveLength(0);
  fork.learn({ query: floats(N, 1), chosen: DOCUMENTS[0]!, shown: DOCUMENTS });
  expect(Buffer.compare(user.toBytes(), before)).toBe(0);
}
