import { checkBase } from "../adapter/base-model.js";
import { unsignedZero } from "../adapter/config.js";
import { type LearnResult, NOTHING } from "../adapter/feedback.js";
import type { AdapterState } from "../adapter/lora-adapter.js";
import { type LoadOptions, MicroLora, runtimeOf, type SyncLoadOptions } from "../adapter/micro-lora.js";
import { checkFinite, checkObject, refuseConfig } from "../base/check.js";
import { refusal, shown } from "../base/errors.js";
import { norm } from "../base/unit.js";
import type { Arena } from "../kernels/arena.js";
import { checkRuntime, type Runtime, sharedRuntime } from "../kernels/runtime.js";
import { boundaryOf } from "../learner/config.js";
import { evaluationRoom } from "../learner/evaluation.js";
import { EXAMPLES, type Example, type KeptRequest } from "../learner/example.js";
import { evaluate } from "../learner/feedback/evaluate.js";
import { rewardOf, type Signal } from "../learner/feedback/signal.js";
import { Learner, NO_STATISTICS } from "../learner/learner.js";
import { checkPersonalizerState, decodePersonalizer, encodePersonalizer, type PersonalizerState } from "./codec.js";
import { EmbeddingIndex, type SearchOptions, type Vector } from "./embedding-index.js";
import { type PersonalFeedback, type PersonalSignal, readFeedback } from "./feedback.js";
import { type Item, idOf } from "./items.js";
import { type Margin, marginOf } from "./margin.js";
import { PersonalQuery } from "./personal-query.js";
import {
  DOUBT,
  memoryOfPersonalizer,
  type PersonalizerConfig,
  type ResolvedPersonalizer,
  resolvePersonalizer,
  SLOW_MODULE,
} from "./personalizer-config.js";
import { checkPrepared, type PreparedFeedback } from "./prepared.js";
import { PopulationMean, weightsOnly } from "./prior.js";
import { type Ranked, type RankOptions, readCandidates } from "./rank.js";
import { Recall } from "./recall.js";
import { ScoreTerms } from "./score-terms.js";
import { around, createSlow } from "./slow.js";
import type { DocumentId, SearchHit } from "./vector-index.js";

/**
 * One user's view of an embedding, which learns from clicks at two speeds: y = x + recall(x) + gate(x) slow(x). Recall knows the queries
 * that were learned from; the slow weights know what is general, and the gate lets them act where a query leaves open what is meant.
 * Documents are embedded once and never again; only queries are transformed.
 */
export class Personalizer {
  /** The configuration with every default filled in. */
  readonly config: ResolvedPersonalizer;
  /** Memory and kernels that it lives in. */
  readonly runtime: Runtime;
  /** Whether clicks act and are learned from; true by default. */
  enabled = true;
  readonly #arena: Arena;
  readonly #learner: Learner | null;
  readonly #recall: Recall | null;
  readonly #query: PersonalQuery;
  readonly #terms: ScoreTerms;
  #clicks = 0;
  #closed = false;

  private constructor(config: ResolvedPersonalizer, runtime: Runtime, learner: Learner | null) {
    const n = config.dimensions;
    this.config = config;
    this.runtime = runtime;
    this.#learner = learner;
    this.#arena = runtime.arena(this);
    this.#recall = config.recall && new Recall(runtime, this.#arena, n, config.recall);
    evaluationRoom(runtime, n);
    this.#query = new PersonalQuery(runtime, n, learner?.lora ?? null, this.#recall, config.gated);
    this.#terms = new ScoreTerms(config.items);
  }

  /**
   * A new user, who has learned nothing.
   * @throws MicroLoraError `invalid-config`, `out-of-range`, `memory-full`, `kernels-unavailable`
   */
  static async create(config: PersonalizerConfig): Promise<Personalizer> {
    checkObject(config, "config");
    const runtime = config.runtime ?? (await sharedRuntime(config.kernels));
    return Personalizer.createSync({ ...config, runtime });
  }

  /** As `create`, at once, in a runtime that is there. */
  static createSync(config: PersonalizerConfig & { readonly runtime: Runtime }): Personalizer {
    const resolved = resolvePersonalizer(config);
    checkRuntime(config.runtime);
    return Personalizer.#made(resolved, config.runtime, createSlow(config, resolved, config.runtime));
  }

  /** A copy in the state that `exportState` gave. @throws MicroLoraError `corrupt-checkpoint`, `wrong-base`, `memory-full` */
  static async fromState(state: PersonalizerState, options: LoadOptions = {}): Promise<Personalizer> {
    return Personalizer.fromStateSync(state, { ...options, runtime: await runtimeOf(options) });
  }

  /** As `fromState`, at once, in a runtime that is there. */
  static fromStateSync(state: PersonalizerState, options: SyncLoadOptions): Personalizer {
    checkPersonalizerState(state, options.methods);
    return Personalizer.#restored(state, options);
  }

  /** What `toBytes` wrote, checked in full before anything is built. @throws MicroLoraError */
  static async fromBytes(bytes: Uint8Array, options: LoadOptions = {}): Promise<Personalizer> {
    return Personalizer.fromBytesSync(bytes, { ...options, runtime: await runtimeOf(options) });
  }

  /** As `fromBytes`, at once, in a runtime that is there. */
  static fromBytesSync(bytes: Uint8Array, options: SyncLoadOptions): Personalizer {
    return Personalizer.#restored(decodePersonalizer(bytes, options.methods), options);
  }

  /**
   * A new user who starts with what is general in another one, the slow weights; nothing of queries, clicks and items goes along. The two
   * are apart from then on. Use it with `priorOf`, since the weights of one person tell of that person.
   */
  static async forkFrom(prior: Personalizer): Promise<Personalizer> {
    return prior.#fork((weights) => weights);
  }

  /**
   * What is general in many people: the mean of their slow biases, for `forkFrom`. It holds nobody's queries, clicks and items.
   * @param users at least 20, of one embedder; each may be closed as soon as the next one is asked for
   * @throws MicroLoraError `out-of-range` for fewer, `invalid-config`
   */
  static async priorOf(users: Iterable<Personalizer> | AsyncIterable<Personalizer>): Promise<Personalizer> {
    const population = new PopulationMean();
    let prior: Personalizer | null = null;
    try {
      for await (const user of users) {
        population.add(user.slow?.exportState() ?? null);
        prior ??= user.#fork((weights) => weights);
      }
      const mean = population.mean();
      return prior!.#fork((weights) =>
        weights.map((adapter) => ({ ...adapter, loraB: adapter.loraB.fill(0), bias: mean })),
      );
    } finally {
      prior?.close();
    }
  }

  /** Bytes of the runtime's memory that a user takes after so many clicks on different queries; JavaScript objects come on top. */
  static memoryBytes(config: PersonalizerConfig, clicks: number): number {
    return memoryOfPersonalizer(config, clicks);
  }

  static #made(config: ResolvedPersonalizer, runtime: Runtime, learner: Learner | null): Personalizer {
    try {
      return new Personalizer(config, runtime, learner);
    } catch (error) {
      learner?.close();
      throw error;
    }
  }

  static #restored(state: PersonalizerState, options: SyncLoadOptions): Personalizer {
    const { runtime, methods } = options;
    checkRuntime(runtime);
    checkBase(state.config.baseModel, options);
    const { temperature } = state.config;
    const lora = state.slow && MicroLora.restored(state.slow, options);
    const learner =
      lora &&
      around(lora, () =>
        state.learner === null ? new Learner(lora, { temperature }) : Learner.resume(lora, state.learner, methods),
      );
    const personalizer = Personalizer.#made(state.config, runtime, learner);
    try {
      if (state.recall !== null) personalizer.#recall?.restore(state.recall);
    } catch (error) {
      personalizer.close();
      throw error;
    }
    personalizer.#terms.restore(state);
    personalizer.enabled = state.enabled;
    personalizer.#clicks = state.clicks;
    return personalizer;
  }

  /** Number of feedbacks that were learned from. */
  get clicks(): number {
    return this.#clicks;
  }

  /** The slow weights, if they are on. */
  get slow(): MicroLora | null {
    return this.#learner?.lora ?? null;
  }

  /** The learner of the slow weights: `report`, `undo`, `snapshot` and `rollback`. */
  get learner(): Learner | null {
    return this.#learner;
  }

  /**
   * The query as this user means it, for any vector database that scores by cosine or inner product; it is as long as it was.
   * @param query [dimensions]
   * @param index an `EmbeddingIndex` of the documents, which tells how much the query leaves open
   * @returns a new array [dimensions]
   * @throws MicroLoraError `shape-mismatch`, `not-finite`, `disposed`
   */
  transform(query: Vector, index?: unknown): Float32Array {
    this.#checkLive();
    const floats = this.#query.floatsOf(query);
    const length = this.#query.place(floats);
    if (length === 0 || !this.enabled) return floats.slice();
    this.#query.forward(this.#marginOver(index, null));
    return this.#query.scaled(floats, length);
  }

  /**
   * The k documents that suit this user best, as the index gives them. With an `EmbeddingIndex` their scores have what was learned of
   * items beside the cosine; any other index is asked for the nearest to `transform(query)`.
   * @throws MicroLoraError `invalid-config` for what is not an index, `wrong-base` for one of another embedder
   */
  search<Id extends DocumentId, Payload>(
    query: Vector,
    index: EmbeddingIndex<Id, Payload>,
    k: number,
    options?: SearchOptions<Id, Payload>,
  ): SearchHit<Id, Payload>[];
  /** What another index gives for the query as this user means it; its answer may be a promise. */
  search<Found>(query: Vector, index: { search(query: Float32Array, k: number): Found }, k: number): Found;
  search(
    query: Vector,
    index: EmbeddingIndex | { search(query: Float32Array, k: number): unknown },
    k: number,
    options: SearchOptions<DocumentId, unknown> = {},
  ): unknown {
    if (typeof index?.search !== "function") refuseConfig("index", index, "Pass an EmbeddingIndex");
    if (!(index instanceof EmbeddingIndex)) return index.search(this.transform(query), k);
    this.#checkIndex(index);
    this.#checkLive();
    const floats = this.#query.floatsOf(query);
    if (this.#query.place(floats) === 0 || !this.enabled) return index.search(floats, k, options);
    const { filter } = options;
    const counts = (id: DocumentId) => filter === undefined || filter(id, index.payloadOf(id));
    this.#query.forward(this.#marginOver(index, counts));
    const bonuses = this.#terms.items?.bonuses(this.#query.share) ?? new Map<DocumentId, number>();
    return index.searchWith(this.#query.room.output, k, options, bonuses);
  }

  /**
   * Candidates that came from elsewhere, such as the first hundred of a search engine, the best first.
   * @param candidates ids, embeddings, or both; one that is there twice counts once
   * @throws MicroLoraError `unknown-document`, `invalid-config`, `shape-mismatch`, `not-finite`
   */
  rank<Candidate extends Item>(
    query: Vector,
    candidates: readonly Candidate[],
    options: RankOptions = {},
  ): Ranked<Candidate>[] {
    this.#checkLive();
    const { index } = options;
    this.#query.placeForLearning(query);
    const list = readCandidates(this.runtime, this.config.dimensions, candidates, options);
    const { ids } = list;
    if (this.enabled) this.#query.forward(this.#marginOver(index, (id) => ids.includes(id)));
    const offsets = this.enabled ? this.#terms.offsets(ids, list.scores, this.#query) : undefined;
    return list.sorted(this.#query.room.outputAt, offsets);
  }

  /** Keeps a query whose feedback comes later, in any order. @throws MicroLoraError as `Learner.keep`, `nothing-to-learn-from` */
  keep(id: string, query: Vector, now: number): void {
    this.#learnerFor(query).keepRequest(id, this.#kept, NO_STATISTICS, now);
  }

  /**
   * As `transform`, with known noise in it, so that a bare quality that comes back for `id` tells a direction.
   * @throws MicroLoraError as `Learner.explore`, `nothing-to-learn-from`
   */
  explore(id: string, query: Vector, now: number): Float32Array {
    const learner = this.#learnerFor(query);
    const { x, output } = this.#query.room;
    if (!this.enabled) output.set(x);
    learner.exploreRequest(id, this.#kept, NO_STATISTICS, output, now);
    const floats = this.#query.floatsOf(query);
    return this.#query.scaled(floats, norm(floats));
  }

  /**
   * Learns from feedback of any kind, at both speeds; from a click by the exact gradient of softmax cross-entropy over the scores of what
   * was shown.
   * @param now required for a query that was kept
   * @returns `gradientNorm` is the norm of dLoss/dy at the transformed query
   * @throws MicroLoraError `shape-mismatch`, `not-finite`, `not-shown`, `unknown-document`, `nothing-to-learn-from`, and as
   * `Learner.learn`; nothing has changed then
   */
  learn<Id extends DocumentId>(feedback: PersonalFeedback<Id>, now?: number): LearnResult {
    const read = this.#read(feedback, now);
    if (!this.enabled) return { ...NOTHING, reason: "disabled" };
    if (read.signal.kind !== "quality") return this.#take(this.#prepared(read, feedback, now));
    this.#query.forward(null);
    const { x, output } = this.#query.room;
    const request = feedback.request ?? { x, output, gate: this.#query.gate };
    return this.#learner!.learn(request, { quality: read.signal.quality }, now);
  }

  /**
   * Works out what feedback will change, and changes nothing: `learn(feedback)` is `apply(prepare(feedback))`.
   * @throws MicroLoraError as `learn`; `invalid-argument` for a quality, which belongs to the noise of its moment
   */
  prepare<Id extends DocumentId>(feedback: PersonalFeedback<Id>, now?: number): PreparedFeedback {
    const read = this.#read(feedback, now);
    if (read.signal.kind === "quality") {
      throw refusal("invalid-argument", "feedback", "is a quality", "Learn from it at once, by `learn`");
    }
    const prepared = this.#prepared(read, feedback, now);
    const { query, gradient, kept } = prepared;
    const example = kept && EXAMPLES.copyOf({ module: SLOW_MODULE, x: query, gate: 1, ...kept });
    return {
      ...prepared,
      query: query.slice(),
      gradient: gradient.slice(),
      kept: example && { base: example.base, signal: example.signal },
    };
  }

  /**
   * Learns from what `prepare` gave, on this machine or another, now or later. The same feedback in the same order leads from the same state
   * to the same state, to the bit.
   * @throws MicroLoraError `invalid-argument`, `out-of-range`, `memory-full`, `update-overflow`; nothing has changed then
   */
  apply(prepared: PreparedFeedback): LearnResult {
    this.#checkLive();
    checkPrepared(prepared, this.config.dimensions);
    if (!this.enabled) return { ...NOTHING, reason: "disabled" };
    const { room } = this.#query;
    this.#query.place(prepared.query);
    room.gradient.set(prepared.gradient);
    this.#query.route();
    return this.#take(prepared);
  }

  /** Ends a task for the slow weights: from here on, the weights of now are held on to. */
  consolidate(): void {
    this.#checkLive();
    this.#learner?.consolidate();
  }

  /** A copy of everything that a restart must bring back. */
  exportState(): PersonalizerState {
    this.#checkLive();
    return {
      config: this.config,
      enabled: this.enabled,
      clicks: this.#clicks,
      recall: this.#recall?.exportState() ?? null,
      ...this.#terms.exportState(),
      slow: this.slow?.exportState() ?? null,
      learner: this.#learner?.exportState() ?? null,
    };
  }

  /** The state as a file: canonical, versioned, checksummed. */
  toBytes(): Uint8Array {
    return encodePersonalizer(this.exportState());
  }

  /** Frees the memory; any use after that is refused. */
  close(): void {
    this.#closed = true;
    this.#learner?.close();
    this.#arena.close();
  }

  /** As `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Checks feedback, and places its query. */
  #read<Id extends DocumentId>(feedback: PersonalFeedback<Id>, now = 0): PersonalSignal<Id> {
    this.#checkLive();
    const read = readFeedback(feedback, this.config.dimensions, this.#clicks);
    const { request } = feedback;
    if (request === undefined) this.#query.placeForLearning(feedback.query);
    else this.#query.place(this.#pending(request, now).x);
    if (read.signal.kind === "quality" && this.#learner === null) refuseWithoutSlow();
    return read;
  }

  /** What the feedback for the query in hand will change; its vectors are those of the room. */
  #prepared<Id extends DocumentId>(
    read: PersonalSignal<Id>,
    { request, index }: PersonalFeedback<Id>,
    now: number | undefined,
  ): PreparedFeedback {
    const { chosen, rating, scores } = read;
    const { room } = this.#query;
    const ids = read.items.map(idOf);
    this.#query.forward(this.#marginOver(index, (id) => ids.includes(id as Id)));
    const signal = rating === null ? read.signal : this.#likingOf(read.signal, rating);
    const { loss, slopes, instead } = this.#evaluate(signal, ids, scores);
    checkFinite(norm(room.gradient), "gradient");
    const { weight } = signal;
    const isChoice = signal.kind === "choice";
    const doubt = isChoice && weight > 0 ? DOUBT * Math.min(1, Math.max(0, loss! - instead!)) : 0;
    const { gate } = this.#query;
    const { guard, replay } = this.#learner?.config ?? { guard: null, replay: null };
    return {
      query: room.x,
      gradient: room.gradient,
      weight,
      gate,
      doubt,
      loss: loss === null ? null : unsignedZero(loss),
      steps: isChoice ? this.#terms.steps(ids, scores, slopes!, this.#query) : { items: 0, scores: 0 },
      chosen,
      rating,
      request: request === undefined ? null : { id: request, now: now ?? 0 },
      kept: guard === null && replay === null ? null : { base: room.base, signal },
    };
  }

  #likingOf({ items }: Signal, rating: number): Signal {
    return { kind: "liking", items: items as readonly [Float32Array], liking: this.#terms.likingOf(rating), weight: 1 };
  }

  /** The loss at the transformed query, and that of the query as it came; the gradient goes to the room. */
  #evaluate(signal: Signal, ids: readonly (DocumentId | null)[], scores: Float64Array | null) {
    const { room } = this.#query;
    const { margin = null } = this.#learner?.config ?? {};
    const settings = { score: "cosine", temperature: this.config.temperature, margin } as const;
    const offsets = this.#terms.offsets(ids, scores, this.#query);
    const isChoice = signal.kind === "choice" || signal.kind === "nothing";
    const besides = {
      ...(isChoice && offsets !== undefined && { offsets }),
      ...(signal.kind === "choice" && { instead: room.xAt }),
    };
    const n = this.config.dimensions;
    return evaluate(this.runtime, settings, room.outputAt, n, signal, 0, room.gradientAt, besides);
  }

  /** Learns from feedback whose query is routed and whose gradient is in the room; all that may be refused comes first. */
  #take(prepared: PreparedFeedback): LearnResult {
    const { room } = this.#query;
    const { gate, weight, doubt, loss, request, kept, rating } = prepared;
    const gradientNorm = norm(room.gradient);
    this.#recall?.reserve();
    const signal = kept?.signal ?? { kind: "gradient" as const, items: [room.gradient] as const, weight, loss };
    const example: Example = { module: SLOW_MODULE, x: room.x, base: kept?.base ?? room.x, gate, signal };
    evaluationRoom(this.runtime, this.config.dimensions).gradient.set(room.gradient);
    const reward = rating ?? (kept === null ? weight : rewardOf(kept.signal));
    const known = { example, loss, keep: 1 - doubt * gate, reward };
    const learned = this.#learner?.learnKnown(known, request?.id ?? null, request?.now) ?? NOTHING;
    this.#recall?.learn(room.xAt, room.gradientAt, weight, doubt);
    this.#terms.learn(prepared);
    this.#clicks++;
    const { boundary, rolledBack } = learned;
    const applied = this.#recall !== null || learned.applied;
    return {
      applied,
      reason: applied ? null : learned.reason,
      loss,
      gradientNorm: Math.abs(weight) * gradientNorm,
      boundary,
      rolledBack,
    };
  }

  /** A user of the same configuration with slow weights of its own. */
  #fork(change: (adapters: readonly AdapterState[]) => readonly AdapterState[]): Personalizer {
    this.#checkLive();
    const { runtime } = this;
    const learner = this.#learner;
    if (learner === null) return Personalizer.#made(this.config, runtime, null);
    const state = weightsOnly(learner.lora.exportState());
    const methods = learner.methods;
    const lora = MicroLora.restored({ ...state, adapters: change(state.adapters) }, { runtime, methods });
    const config = { ...learner.config, boundary: boundaryOf(learner.config.boundary, methods) };
    return Personalizer.#made(
      this.config,
      runtime,
      around(lora, () => new Learner(lora, config)),
    );
  }

  /** The learner, with the query transformed. */
  #learnerFor(query: Vector): Learner {
    this.#checkLive();
    this.#query.placeForLearning(query);
    if (this.#learner === null) return refuseWithoutSlow();
    this.#query.forward(null);
    return this.#learner;
  }

  /** The query in hand as a request to the slow weights. */
  get #kept(): KeptRequest {
    const { room, gate } = this.#query;
    return { module: SLOW_MODULE, x: room.x, base: room.base, gate };
  }

  #pending(id: unknown, now: number): KeptRequest {
    if (this.#learner === null) return refuseWithoutSlow();
    if (typeof id !== "string") {
      throw refusal("unknown-request", "request", `is ${shown(id)}`, "Pass the id that `keep` or `explore` was given");
    }
    return this.#learner.pending(id, now);
  }

  /** The margin of the query in hand over an index; null where there is no index that can tell. @param counts whether a document counts */
  #marginOver(index: unknown, counts: ((id: DocumentId) => boolean) | null): Margin | null {
    if (!(index instanceof EmbeddingIndex) || !this.config.gated || index.size === 0) return null;
    this.#checkIndex(index);
    const shape = index.shapeOf(this.#query.room.x);
    const excluded = counts === null ? 0 : shape.equal.filter((id) => !counts(id)).length;
    return { ofQuery: marginOf(shape, excluded), ofIndex: index.ownMargin() };
  }

  #checkIndex({ dimensions, baseModel, size }: Pick<EmbeddingIndex, "dimensions" | "baseModel" | "size">): void {
    if (size > 0 && dimensions !== this.config.dimensions) {
      const problem = `is ${dimensions} wide, the user ${this.config.dimensions}`;
      throw refusal("shape-mismatch", "index", problem, "Search an index of the user's own embedder");
    }
    checkBase(this.config.baseModel, baseModel === null ? {} : { baseModel });
  }

  #checkLive(): void {
    if (this.#closed) throw refusal("disposed", "personalizer", "it was closed", "Create or load it again");
  }
}

function refuseWithoutSlow(): never {
  const remedy = "Switch `slow` on, or pass a chosen item, a rating or a gradient with the query";
  throw refusal("nothing-to-learn-from", "slow", "is off, and recall keeps no requests", remedy);
}
