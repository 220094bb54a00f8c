import fc from "fast-check";
import {
  adamw,
  adwin,
  everyRequests,
  type LoraAdapter,
  METHODS,
  type MicroLora,
  MicroLoraError,
  momentum,
  pageHinkley,
  Runtime,
  rwalk,
} from "microlora";
import { afterAll, beforeAll, expect, test } from "vitest";
import { floats } from "../base/host-tensor.js";
import { fromTensor } from "../graph/elements/dense.js";
import { crossEntropy, vjp } from "../index.js";
import type { LoraModel } from "../model/lora-model.js";
import { openModel } from "../model/open.js";
import type { GradientRequest } from "../model/options.js";
import { randomOf, web } from "../testing/models.test-support.js";
import { SmallModel } from "../testing/small-models.test-support.js";
import { ModelLearner, type ModelLearnerConfig } from "./model-learner.js";

/** Sequences of calls; `STATEFUL` asks for more. Each costs three of a `Learner`, since a model runs. */
const SEQUENCES = Math.ceil(Number(process.env.STATEFUL ?? 300) / 3);
const IN = 3;
const HIDDEN = 4;
const CLASSES = 3;
const ROWS = 2;
const MAX_DELTA = 0.5;

type Call =
  | { readonly do: "learn" | "both"; readonly seed: number; readonly kind: number; readonly size: number }
  | { readonly do: "consolidate" | "snapshot" | "rollback" | "reload" | "reset" | "squeeze" | "toggle" }
  | { readonly do: "undo"; readonly n: number }
  | { readonly do: "wrong"; readonly which: number };

const learning = (name: "learn" | "both") =>
  fc.record({
    do: fc.constant(name),
    seed: fc.nat(20),
    kind: fc.nat(3),
    size: fc.constantFrom(0, 1e-20, 1, 1, 1, 100, 1e30),
  });
const call: fc.Arbitrary<Call> = fc.oneof(
  { weight: 10, arbitrary: learning("learn") },
  { weight: 1, arbitrary: learning("both") },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom("consolidate", "snapshot", "rollback", "reload", "reset", "squeeze", "squeeze", "toggle"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("undo" as const), n: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("wrong" as const), which: fc.nat(5) }) },
);

const config = fc.record({
  guard: fc.constantFrom(null, { hold: 4, share: 2, every: 1 }, { hold: 4, share: 2, every: 3, strictness: 0 }),
  replay: fc.constantFrom(null, { bytes: 600, perUpdate: 2 }),
  boundary: fc.constantFrom(null, everyRequests(3), pageHinkley({ threshold: 0.1, least: 2 }), adwin()),
  maxDelta: fc.constantFrom(null, MAX_DELTA),
  undo: fc.constantFrom(0, 3),
});
const method = fc.record({
  learningRate: fc.constantFrom(0.05, 1),
  ewcLambda: fc.constantFrom(0, 1),
  clipNorm: fc.constantFrom(null, 0.5),
  optimizer: fc.constantFrom(undefined, momentum(), adamw()),
  ewc: fc.constantFrom(undefined, rwalk()),
});

const small = new SmallModel();
const first = small.weight("first.weight", [IN, HIDDEN]);
const second = small.weight("second.weight", [HIDDEN, CLASSES]);
const x = small.input("x", ["rows", IN]);
const hidden = small.builder.op("Tanh", [small.node("first", "MatMul", [x, first])]);
small.output("logits", small.node("second", "MatMul", [hidden, second]), ["rows", CLASSES]);
const WEIGHTS = [first, second].map((name) => fromTensor(small.builder.initializers.get(name)!)!.data);

let model: LoraModel;
beforeAll(async () => {
  model = await openModel(small.bytes(), { ort: web, targets: "all-linear" });
});
afterAll(() => model.close());

const numbers = (seed: number, count: number, size = 1) => {
  const random = randomOf(seed + 1);
  return Float32Array.from({ length: count }, () => 2 * size * random());
};

function requestOf({ seed, kind, size }: { seed: number; kind: number; size: number }): GradientRequest {
  const feeds = { x: floats(numbers(seed, ROWS * IN, size), [ROWS, IN]) };
  const labels = labelsOf(seed);
  const losses = [
    crossEntropy({ labels }),
    crossEntropy({ labels, weights: [1, -0.5] }),
    vjp({ logits: floats(numbers(seed + 50, ROWS * CLASSES), [ROWS, CLASSES]) }),
    crossEntropy({ labels }),
  ];
  return { feeds, loss: losses[kind]!, ...(kind === 3 && { microBatch: 1 }) };
}

const labelsOf = (seed: number) => [seed % CLASSES, (seed >> 1) % CLASSES];

/** Mean of -log softmax at the labels, in float64: the model and its adapter written out. */
function loss64(adapter: MicroLora, { seed, size }: { seed: number; size: number }): number {
  const [one, two] = adapter.config.modules.map(({ module }) => adapter.getAdapter(module)!);
  const given = numbers(seed, ROWS * IN, size);
  const losses = labelsOf(seed).map((label, row) => {
    const input = [...given.subarray(row * IN, (row + 1) * IN)];
    const middle = linear(input, WEIGHTS[0]!, one!).map(Math.tanh);
    const logits = linear(middle, WEIGHTS[1]!, two!);
    const most = Math.max(...logits);
    return most + Math.log(logits.reduce((sum, v) => sum + Math.exp(v - most), 0)) - logits[label]!;
  });
  return losses.reduce((sum, v) => sum + v, 0) / ROWS;
}

/** x W + scaling (x A^T) B, where W is [in, out], A [rank, in] and B [rank, out]. */
function linear(input: readonly number[], weight: ArrayLike<number>, lora: LoraAdapter): number[] {
  const { loraA, loraB, rank, inFeatures, outFeatures, scaling } = lora;
  const inner = Array.from({ length: rank }, (_, r) => sum(inFeatures, (i) => input[i]! * loraA[r * inFeatures + i]!));
  return Array.from({ length: outFeatures }, (_, o) => {
    const plain = sum(inFeatures, (i) => input[i]! * weight[i * outFeatures + o]!);
    return plain + scaling * sum(rank, (r) => inner[r]! * loraB[r * outFeatures + o]!);
  });
}

const sum = (count: number, term: (i: number) => number) =>
  Array.from({ length: count }, (_, i) => term(i)).reduce((total, v) => total + v, 0);

/** Calls that are refused whatever came before. */
const WRONG: readonly ((learner: ModelLearner) => Promise<unknown>)[] = [
  (learner) => learner.learn(undefined as never),
  (learner) => learner.learn({ feeds: {}, loss: crossEntropy({ labels: [0, 1] }) }),
  (learner) => learner.learn({ ...requestOf(PLAIN), loss: crossEntropy({ labels: [0, CLASSES] }) }),
  (learner) =>
    learner.learn({ ...requestOf(PLAIN), feeds: { x: floats(numbers(0, 2 * ROWS).fill(Number.NaN), [ROWS, 2]) } }),
  (learner) => learner.undo(-1),
  (learner) => learner.rollback([]),
];
const PLAIN = { seed: 0, kind: 0, size: 1 };

/** One learner, its twin in another memory, and the state of the walk. */
class Walk {
  held: number[] = [];
  snapshot: ReturnType<ModelLearner["snapshot"]> | null = null;

  private constructor(
    readonly learner: ModelLearner,
    public twin: ModelLearner,
    readonly elsewhere: Runtime,
    readonly limited: boolean,
  ) {}

  static async start(learner: ModelLearner, elsewhere: Runtime, limited: boolean): Promise<Walk> {
    return new Walk(learner, await reloaded(learner, elsewhere), elsewhere, limited);
  }

  /** A call that is refused changes no byte; one that is not does the same to the twin. */
  async step(each: Call): Promise<void> {
    if (each.do === "squeeze") return this.#squeeze();
    if (each.do === "reload") return this.#renew();
    if (each.do === "both" && this.held.length > 0) return;
    const before = await this.learner.toBytes();
    let result: unknown;
    try {
      result = await this.#run(this.learner, each);
    } catch (error) {
      if (!(error instanceof MicroLoraError)) throw error;
      const after = await this.learner.toBytes();
      expect(Buffer.compare(after, before), `${each.do} was refused: ${error.message}`).toBe(0);
      if (error.code !== "memory-full") await expect(this.#run(this.twin, each)).rejects.toThrow(MicroLoraError);
      return;
    }
    await this.#follow(each, result);
  }

  close(): void {
    for (const pointer of this.held) this.learner.adapter.runtime.free(pointer);
    this.learner.adapter.close();
    this.twin.adapter.close();
  }

  async #follow(each: Call, result: unknown): Promise<void> {
    if (each.do === "wrong" && this.learner.adapter.enabled) {
      throw new Error(`was accepted: ${String(WRONG[each.which])}`);
    }
    if (each.do === "undo" || each.do === "rollback") return this.#renew();
    expect(await this.#run(this.twin, each, true)).toEqual(result);
    const bytes = [await this.twin.toBytes(), await this.learner.toBytes()] as const;
    expect(Buffer.compare(...bytes), `the twin differs after ${each.do}`).toBe(0);
    if (!this.limited || each.do !== "learn") return;
    for (const { norm } of Object.values(this.learner.report().capacity)) {
      expect(norm).toBeLessThanOrEqual(MAX_DELTA * (1 + 1e-4));
    }
  }

  async #run(learner: ModelLearner, each: Call, isTwin = false): Promise<unknown> {
    switch (each.do) {
      case "learn":
        return this.#learn(learner, each);
      case "both":
        return both(learner, each, isTwin);
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
        return learner.adapter.reset();
      case "toggle":
        learner.adapter.enabled = !learner.adapter.enabled;
        return;
      case "wrong":
        return WRONG[each.which]!(learner);
      default:
        throw new Error(each.do);
    }
  }

  /** The loss is that of float64, unless the weights are so large that rounding counts. */
  async #learn(learner: ModelLearner, each: Extract<Call, { do: "learn" | "both" }>): Promise<unknown> {
    const isShort = Object.values(learner.report().capacity).every(({ norm }) => norm < 10);
    const expected = each.kind === 0 && isShort && each.size <= 1 ? loss64(learner.adapter, each) : null;
    const result = await learner.learn(requestOf(each));
    if (expected !== null && result.loss !== null && !result.rolledBack) expect(result.loss).toBeCloseTo(expected, 3);
    return result;
  }

  /** Fills the memory up, or gives it free again. */
  #squeeze(): void {
    const { runtime } = this.learner.adapter;
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

  async #renew(): Promise<void> {
    this.twin.adapter.close();
    this.twin = await reloaded(this.learner, this.elsewhere);
  }
}

/** Two requests at once; the twin gets one after the other. Refusals count as results, since one may be refused and the other not. */
async function both(learner: ModelLearner, each: Extract<Call, { do: "learn" | "both" }>, isTwin: boolean) {
  const told = (learning: Promise<unknown>) => learning.catch((error: unknown) => codeOf(error));
  const [one, two] = [requestOf(each), requestOf({ ...each, seed: each.seed + 1 })];
  if (isTwin) return [await told(learner.learn(one)), await told(learner.learn(two))];
  return Promise.all([told(learner.learn(one)), told(learner.learn(two))]);
}

function codeOf(error: unknown): string {
  if (error instanceof MicroLoraError) return error.code;
  throw error;
}

async function reloaded(learner: ModelLearner, runtime: Runtime): Promise<ModelLearner> {
  const bytes = await learner.toBytes();
  const twin = await ModelLearner.fromBytes(model, bytes, { runtime, methods: METHODS });
  expect(Buffer.compare(await twin.toBytes(), bytes), "what was loaded is not what was saved").toBe(0);
  return twin;
}

test(`${SEQUENCES} random sequences of calls: refusals change nothing, and a twin that is loaded goes on alike`, async () => {
  const property = fc.asyncProperty(
    config,
    method,
    fc.array(call, { minLength: 5, maxLength: 20 }),
    async (...given) => {
      const [settings, methods, calls] = given;
      // Memory comes back once no view of it is left, which a collection decides: so each sequence has its own.
      const runtime = await Runtime.create({ memoryBytes: 65_536, kernels: "simd" });
      const elsewhere = await Runtime.create({ memoryBytes: 65_536, kernels: "simd" });
      const chosen = Object.fromEntries(Object.entries(methods).filter(([, value]) => value !== undefined));
      const adapter = await model.createAdapter({ rank: 1 + (calls.length % 2), learning: chosen, runtime });
      const learner = new ModelLearner(model, adapter, settings as ModelLearnerConfig);
      const walk = await Walk.start(learner, elsewhere, settings.maxDelta !== null);
      try {
        for (const each of calls) await walk.step(each);
      } finally {
        walk.close();
      }
    },
  );
  await fc.assert(property, { numRuns: SEQUENCES });
}, 900_000);
