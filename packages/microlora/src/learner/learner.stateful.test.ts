import fc from "fast-check";
import { expect, test } from "vitest";
import type { LearningConfig } from "../adapter/config.js";
import { productEwc, rwalk } from "../adapter/methods/ewc-methods.js";
import { adamw, adaptiveRows, momentum } from "../adapter/methods/optimizers.js";
import { MicroLora } from "../adapter/micro-lora.js";
import { MicroLoraError } from "../base/errors.js";
import { floats } from "../base/samples.test-support.js";
import { Runtime } from "../kernels/runtime.js";
import { METHODS } from "./all-methods.js";
import { adwin, everyRequests, pageHinkley } from "./boundaries.js";
import type { LearnerConfig } from "./config.js";
import { loss64 } from "./feedback/reference.test-support.js";
import type { Feedback } from "./feedback/signal.js";
import { Learner } from "./learner.js";

/** Sequences of calls; `STATEFUL` asks for more. */
const SEQUENCES = Number(process.env.STATEFUL ?? 1000);
const IN = 3;
const OUT = 4;
const TEMPERATURE = 0.3;
const MAX_DELTA = 1;
const PENDING_BYTES = 1500;

type Call =
  | { readonly do: "learn"; readonly seed: number; readonly kind: number; readonly size: number }
  | { readonly do: "keep" | "explore"; readonly id: number; readonly seed: number }
  | { readonly do: "late"; readonly id: number; readonly kind: number; readonly seed: number }
  | { readonly do: "batch"; readonly seeds: readonly number[] }
  | { readonly do: "consolidate" | "snapshot" | "rollback" | "reload" | "reset" | "squeeze" | "toggle" }
  | { readonly do: "undo"; readonly n: number }
  | { readonly do: "wrong"; readonly which: number };

const seed = fc.nat(30);
const id = fc.nat(6);
const kind = fc.nat(6);
const call: fc.Arbitrary<Call> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("learn" as const),
      seed,
      kind,
      size: fc.constantFrom(0, 1e-20, 1, 1, 1, 1e6, 1e20),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("keep", "explore"), id, seed }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("late" as const), id, kind, seed }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("batch" as const), seeds: fc.array(seed, { maxLength: 3 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom("consolidate", "snapshot", "rollback", "reload", "reset", "squeeze", "squeeze", "toggle"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("undo" as const), n: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wrong" as const), which: fc.nat(7) }) },
);

const config = fc.record({
  score: fc.constantFrom("cosine" as const, "dot" as const),
  margin: fc.constantFrom(null, null, 0.2),
  guard: fc.constantFrom(null, { hold: 4, share: 2, every: 3 }),
  replay: fc.constantFrom(null, { bytes: 900, perUpdate: 2 }),
  boundary: fc.constantFrom(null, everyRequests(3), pageHinkley({ threshold: 0.1, least: 2 }), adwin()),
  maxDelta: fc.constantFrom(null, MAX_DELTA),
  undo: fc.constantFrom(0, 3),
});
const learning = fc.record({
  learningRate: fc.constantFrom(0.05, 1),
  ewcLambda: fc.constantFrom(0, 1),
  clipNorm: fc.constantFrom(null, 0.5),
  optimizer: fc.constantFrom(undefined, momentum(), adamw(), adaptiveRows()),
  ewc: fc.constantFrom(undefined, rwalk(), productEwc()),
}) as fc.Arbitrary<LearningConfig>;

const items = Array.from({ length: 4 }, (_, j) => floats(OUT, 40 + j));

function feedbackOf(kindOf: number, of: number, size: number): Feedback {
  const shown = items.map((item) => item.map((v) => v * (size === 0 ? 1 : size)));
  const kinds: readonly Feedback[] = [
    { chosen: shown[of % 4]!, shown },
    { chosen: shown[of % 4]!, rejected: shown, reward: of % 3 === 0 ? -0.5 : 1 },
    { rating: (of % 5) / 2 - 1, item: shown[of % 4]! },
    { gradient: floats(OUT, of, size) },
    { quality: of / 30 },
    { chosen: shown[0]!, shown: [shown[0]!] },
    { chosen: null, shown },
  ];
  return kinds[kindOf]!;
}

const WRONG: readonly ((learner: Learner) => unknown)[] = [
  (learner) => learner.learn({ x: floats(IN + 1, 1) }, { gradient: floats(OUT, 1) }),
  (learner) => learner.learn({ x: floats(IN, 1) }, { gradient: floats(OUT, 1).fill(Number.NaN) }),
  (learner) => learner.learn(undefined as never, { gradient: floats(OUT, 1) }),
  (learner) => learner.learn({ x: floats(IN, 1) }, undefined as never),
  (learner) => learner.learn("nobody", { rating: 1, item: items[0]! }, 1e12),
  (learner) => learner.keep(7 as never, { x: floats(IN, 1) }, 1e12),
  (learner) => learner.keep("late", { x: floats(IN, 1) }, Number.NaN),
  (learner) => learner.rollback([]),
];

/** One learner, its twin in another memory, and the state of the walk. */
class Walk {
  now = 1;
  held: number[] = [];
  snapshot: ReturnType<Learner["snapshot"]> | null = null;
  twin: Learner;

  constructor(
    readonly learner: Learner,
    readonly elsewhere: Runtime,
    readonly limited: boolean,
  ) {
    this.twin = this.#reloaded();
  }

  /** A call that is refused changes no byte; one that is not does the same to the twin. */
  step(each: Call): unknown {
    if (each.do === "squeeze") return this.#squeeze();
    if (each.do === "reload") return this.#renew();
    const before = this.learner.toBytes();
    this.now++;
    try {
      const result = this.#run(this.learner, each);
      this.#follow(each, result);
    } catch (error) {
      if (!(error instanceof MicroLoraError)) throw error;
      expect(Buffer.compare(this.learner.toBytes(), before), `${each.do} was refused: ${error.message}`).toBe(0);
      if (error.code !== "memory-full") expect(() => this.#run(this.twin, each)).toThrow(MicroLoraError);
    }
    const { pending, capacity } = this.learner.report();
    expect(pending.bytes).toBeLessThanOrEqual(PENDING_BYTES);
    if (this.limited && each.do === "learn") expect(capacity.m!.norm).toBeLessThanOrEqual(MAX_DELTA * (1 + 1e-4));
    return undefined;
  }

  #follow(each: Call, result: unknown): unknown {
    if (each.do === "wrong" && this.learner.lora.enabled) {
      throw new Error(`was accepted: ${String(WRONG[each.which])}`);
    }
    if (each.do === "undo" || each.do === "rollback") return this.#renew();
    expect(this.#run(this.twin, each)).toEqual(result);
    expect(Buffer.compare(this.twin.toBytes(), this.learner.toBytes()), `the twin differs after ${each.do}`).toBe(0);
    return undefined;
  }

  #run(learner: Learner, each: Call): unknown {
    switch (each.do) {
      case "learn":
        return this.#learn(learner, each);
      case "keep":
        return learner.keep(`r${each.id}`, { x: floats(IN, each.seed), session: `s${each.id % 2}` }, this.now);
      case "explore":
        return learner.explore(`r${each.id}`, { x: floats(IN, each.seed), output: floats(OUT, each.seed) }, this.now);
      case "late":
        return learner.learn(`r${each.id}`, feedbackOf(each.kind, each.seed, 1), this.now);
      case "batch":
        return learner.learnBatch(
          each.seeds.map((of) => ({
            request: { x: floats(IN, of), output: floats(OUT, of + 1) },
            chosen: items[of % 4]!,
          })),
        );
      case "consolidate":
        return learner.consolidate();
      case "snapshot":
        this.snapshot = learner.snapshot();
        return;
      case "rollback":
        return this.snapshot && learner.rollback(this.snapshot);
      case "undo":
        return learner.undo(each.n);
      case "reset":
        return learner.lora.reset();
      case "toggle":
        learner.lora.enabled = !learner.lora.enabled;
        return;
      case "wrong":
        return WRONG[each.which]!(learner);
      default:
        throw new Error(each.do);
    }
  }

  /** The loss of a choice by cosines is that of float64, unless the delta is so long that the output is lost in its rounding. */
  #learn(learner: Learner, { seed: of, kind: kindOf, size }: Extract<Call, { do: "learn" }>): unknown {
    const x = floats(IN, of);
    const output = floats(OUT, of + 1);
    const feedback = feedbackOf(kindOf, of, size);
    const isShort = learner.report().capacity.m!.norm < 100;
    const result = learner.learn({ x, output }, feedback, this.now);
    const { score, margin } = learner.config;
    if (isShort && kindOf === 0 && score === "cosine" && margin === null && result.loss !== null) {
      expect(result.loss).toBeCloseTo(loss64(output, items, of % 4, TEMPERATURE), 3);
    }
    return result;
  }

  /** Fills the memory up, or gives it free again. */
  #squeeze(): void {
    const { runtime } = this.learner.lora;
    if (this.held.length > 0) {
      for (const pointer of this.held.splice(0)) runtime.free(pointer);
      return;
    }
    for (let floatsEach = 2 ** 13; floatsEach >= 4; floatsEach /= 2) {
      try {
        for (;;) this.held.push(runtime.allocate(floatsEach));
      } catch {}
    }
  }

  #renew(): void {
    this.twin.close();
    this.twin = this.#reloaded();
  }

  #reloaded(): Learner {
    const bytes = this.learner.toBytes();
    const twin = Learner.fromBytesSync(bytes, { runtime: this.elsewhere, methods: METHODS });
    expect(Buffer.compare(twin.toBytes(), bytes), "what was loaded is not what was saved").toBe(0);
    return twin;
  }
}

test(`${SEQUENCES} random sequences of calls: refusals change nothing, and a twin that is loaded goes on alike`, async () => {
  const runtime = await Runtime.create({ memoryBytes: 65_536, kernels: "simd" });
  const elsewhere = await Runtime.create({ memoryBytes: 2 ** 20, kernels: "simd" });
  fc.assert(
    fc.property(config, learning, fc.array(call, { minLength: 5, maxLength: 30 }), (settings, method, calls) => {
      const lora = MicroLora.createSync({
        inFeatures: IN,
        outFeatures: OUT,
        targetModules: ["m"],
        bias: calls.length % 2 === 0,
        learning: Object.fromEntries(Object.entries(method).filter(([, value]) => value !== undefined)),
        runtime,
      });
      const given: LearnerConfig = { ...settings, temperature: TEMPERATURE, pending: { bytes: PENDING_BYTES } };
      const learner = new Learner(lora, given);
      const walk = new Walk(learner, elsewhere, settings.maxDelta !== null);
      try {
        for (const each of calls) walk.step(each);
      } finally {
        for (const pointer of walk.held) runtime.free(pointer);
        learner.close();
        walk.twin.close();
      }
    }),
    { numRuns: SEQUENCES },
  );
}, 600_000);
