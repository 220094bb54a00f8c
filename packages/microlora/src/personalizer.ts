import { checkAllFinite, checkFinite, checkFloats } from "./base/check.js";
import { MicroLoraError } from "./base/errors.js";
import { norm } from "./base/unit.js";
import { checkBase } from "./checkpoint/base-model.js";
import {
  checkPersonalizerState,
  decodePersonalizer,
  encodePersonalizer,
  type PersonalizerState,
} from "./checkpoint/personalizer-state.js";
import { type Click, type ClickResult, isClick, NOTHING } from "./click.js";
import type { DocumentId, EmbeddingIndex, SearchHit } from "./embedding-index.js";
import type { KernelsName, Pointer } from "./kernels/contract.js";
import { type Runtime, sharedRuntime } from "./kernels/runtime.js";
import { candidatesOf } from "./learn/candidates.js";
import { cosineCrossEntropy } from "./learn/cosine-cross-entropy.js";
import { lossAt } from "./learn/evaluation.js";
import type { KeptRequest } from "./learn/example.js";
import type { LearnerConfig } from "./learn/learner-config.js";
import { type PersonalFeedback, withVectors } from "./learn/personal-feedback.js";
import {
  checkPersonalizer,
  PERSONALIZER_DEFAULTS,
  type ResolvedPersonalizer,
  SLOW_MODULE,
  type SlowConfig,
} from "./learn/personalizer-config.js";
import { Recall, type RecallConfig } from "./learn/recall.js";
import { readSignal } from "./learn/signal.js";
import { Learner } from "./learner.js";
import { type LoadOptions, MicroLora } from "./micro-lora.js";
import { around, createSlow, type SlowStart } from "./slow.js";

export interface PersonalizerConfig {
  /** Width of the embeddings. */
  readonly dimensions: number;
  /** Temperature of the softmax over the cosine scores of what was shown. */
  readonly temperature?: number;
  /** The slow speed, a MicroLoRA on the query; false switches it off. */
  readonly slow?: (Partial<SlowConfig> & SlowStart) | false;
  /** The fast speed, the last clicks; false switches it off. */
  readonly recall?: Partial<RecallConfig> | false;
  /** What goes with updates of the slow weights: boundary, guard, replay, limits, undo; scores are cosines, at `temperature`. */
  readonly learning?: Omit<LearnerConfig, "score" | "temperature">;
  readonly seed?: number;
  /** Fingerprint of the embedding model, which a checkpoint carries. */
  readonly baseModel?: string;
  readonly runtime?: Runtime;
  readonly kernels?: KernelsName;
}

/**
 * One user's view of an embedding, which learns from clicks at two speeds: y = x + gate(x) slow(x) + recall(x), where gate(x) is how
 * much x is like what was learned from. Documents are embedded once and never again; only queries are transformed.
 */
export class Personalizer {
  readonly config: ResolvedPersonalizer;
  readonly runtime: Runtime;
  /** Whether clicks act and are learned from. */
  enabled = true;
  readonly #slow: MicroLora | null;
  readonly #learner: Learner | null;
  readonly #recall: Recall | null;
  // One block for the request under way: the unit query, the transformed one, and the gradient at it.
  readonly #work: Pointer;
  readonly #x: Float32Array;
  readonly #y: Float32Array;
  readonly #gradient: Float32Array;
  /** What the slow weights add, before the gate, and the gate of the request under way. */
  readonly #delta: Float32Array;
  #gate = 1;
  readonly #feedback: { readonly gradient: Float32Array; readonly module: string; reward: number };
  readonly #result: ClickResult = { ...NOTHING };
  #clicks = 0;
  #disposed = false;

  private constructor(config: ResolvedPersonalizer, runtime: Runtime, learner: Learner | null) {
    const n = config.dimensions;
    const slow = learner?.lora ?? null;
    this.config = config;
    this.runtime = runtime;
    this.#learner = learner;
    this.#slow = slow;
    this.#recall = config.recall && new Recall(runtime, n, config.recall);
    try {
      this.#work = runtime.allocate(4 * n);
    } catch (error) {
      slow?.[Symbol.dispose]();
      throw error;
    }
    this.#x = runtime.view(this.#work, n);
    this.#y = runtime.view(this.#work + 4 * n, n);
    this.#gradient = runtime.view(this.#work + 8 * n, n);
    this.#delta = runtime.view(this.#work + 12 * n, n);
    this.#feedback = { gradient: this.#gradient, module: SLOW_MODULE, reward: 1 };
  }

  /** @throws MicroLoraError `invalid-config`, `out-of-range`, `memory-full`, `kernels-unavailable` */
  static async create(config: PersonalizerConfig): Promise<Personalizer> {
    const { slow, recall, dimensions, baseModel } = config;
    const gated = slow === false ? false : (slow?.gated ?? (recall !== false && PERSONALIZER_DEFAULTS.gated));
    const resolved: ResolvedPersonalizer = {
      dimensions,
      temperature: config.temperature ?? PERSONALIZER_DEFAULTS.temperature,
      recall: recall === false ? null : { ...PERSONALIZER_DEFAULTS.recall, ...recall },
      gated,
      baseModel: baseModel ?? null,
    };
    checkPersonalizer(resolved);
    const runtime = config.runtime ?? (await sharedRuntime(config.kernels));
    const lora = slow === false ? null : await createSlow(config, slow ?? {}, runtime);
    const learning = {
      seed: config.seed ?? 0,
      ...config.learning,
      score: "cosine",
      temperature: resolved.temperature,
    } as const;
    return new Personalizer(resolved, runtime, lora && around(lora, () => new Learner(lora, learning)));
  }

  /** A copy in the state that `exportState` gave. @throws MicroLoraError `corrupt-checkpoint`, `wrong-base` */
  static async fromState(state: PersonalizerState, options: LoadOptions = {}): Promise<Personalizer> {
    const { methods } = options;
    checkPersonalizerState(state, methods);
    checkBase(state.config.baseModel, options);
    const runtime = options.runtime ?? (await sharedRuntime(options.kernels));
    const slow = state.slow && (await MicroLora.fromState(state.slow, { ...options, runtime }));
    const { temperature } = state.config;
    const learner =
      slow &&
      around(slow, () =>
        state.learner === null ? new Learner(slow, { temperature }) : Learner.resume(slow, state.learner, methods),
      );
    const personalizer = new Personalizer(state.config, runtime, learner);
    try {
      if (state.recall !== null) personalizer.#recall?.restore(state.recall);
    } catch (error) {
      personalizer[Symbol.dispose]();
      throw error;
    }
    personalizer.enabled = state.enabled;
    personalizer.#clicks = state.clicks;
    return personalizer;
  }

  /** What `toBytes` wrote, checked in full before anything is built. @throws MicroLoraError */
  static async fromBytes(bytes: Uint8Array, options: LoadOptions = {}): Promise<Personalizer> {
    return Personalizer.fromState(decodePersonalizer(bytes, options.methods), options);
  }

  /** A new user who starts from what another one, or a shared adapter, has learned; the two are apart from then on. */
  static async forkFrom(prior: Personalizer): Promise<Personalizer> {
    return Personalizer.fromState(prior.exportState(), {
      runtime: prior.runtime,
      methods: prior.learner?.methods ?? [],
    });
  }

  /** Clicks learned from. */
  get clicks(): number {
    return this.#clicks;
  }

  /** The slow weights, if they are on. */
  get slow(): MicroLora | null {
    return this.#slow;
  }

  /** What goes with the slow weights' updates: `report`, `undo`, `snapshot` and `rollback`. */
  get learner(): Learner | null {
    return this.#learner;
  }

  /**
   * The query as this user means it, x + |x| (gate slow(x / |x|) + recall(x / |x|)), for any vector database that scores by
   * cosine or inner product.
   * @param query [dimensions]
   * @returns a new array [dimensions]
   * @throws MicroLoraError `shape-mismatch`, `not-finite`, `disposed`
   */
  transform(query: Float32Array): Float32Array {
    const length = this.#place(query);
    if (length === 0 || !this.enabled) return query.slice();
    this.#forward();
    return this.#scaled(query, length);
  }

  /** The k documents nearest to the transformed query. */
  search(query: Float32Array, index: EmbeddingIndex, k: number): SearchHit[] {
    return index.search(this.transform(query), k);
  }

  /** Keeps a query whose feedback comes later, in any order. @throws MicroLoraError as `Learner.keep`, `nothing-to-learn-from` */
  keep(id: string, query: Float32Array, now: number): void {
    const learner = this.#learnerFor(query);
    learner.keep(id, { x: this.#x, output: this.#y, gate: this.#gate }, now);
  }

  /**
   * As `transform`, with known noise in it, so that a bare quality that comes back for `id` says which way is better.
   * @throws MicroLoraError as `Learner.explore`, `nothing-to-learn-from`
   */
  explore(id: string, query: Float32Array, now: number): Float32Array {
    const learner = this.#learnerFor(query);
    learner.explore(id, { x: this.#x, output: this.#y, gate: this.#gate }, now);
    return this.#scaled(query, norm(query));
  }

  /**
   * Learns from feedback of any kind, at both speeds; from a click by the exact gradient of softmax cross-entropy over the cosine
   * scores of what was shown.
   * @param now required for a query that was kept
   * @returns one object that every call writes anew
   * @throws MicroLoraError `shape-mismatch`, `not-finite`, `not-shown`, `unknown-document`, `nothing-to-learn-from`, and as
   * `Learner.learn`; nothing has changed then
   */
  learn(feedback: Click | PersonalFeedback<DocumentId>, now?: number): Readonly<ClickResult> {
    Object.assign(this.#result, NOTHING);
    if (this.#plain && isClick(feedback)) return this.#learnClick(feedback);
    return this.#learnAny(feedback as PersonalFeedback<DocumentId>, now);
  }

  /** The most frequent kind, with what the index holds left where it is. */
  #learnClick(click: Click): ClickResult {
    const result = this.#result;
    this.#placeForLearning(click.query);
    const n = this.config.dimensions;
    const { documents, chosen } = candidatesOf(click, this.runtime, n);
    if (!this.enabled) return Object.assign(result, { reason: "disabled" });
    this.#forward();
    const { byteOffset: y } = this.#y;
    const { byteOffset: gradient } = this.#gradient;
    result.loss = cosineCrossEntropy(this.runtime, y, n, documents, chosen, this.config.temperature, gradient);
    result.gradientNorm = norm(this.#gradient);
    checkFinite(result.gradientNorm, "gradient");
    this.#feedback.reward = this.#gate;
    this.#learnFromGradient(() => this.#slow?.learn(this.#x, this.#feedback));
    result.applied = true;
    return result;
  }

  #learnAny(feedback: PersonalFeedback<DocumentId>, now: number | undefined): ClickResult {
    const result = this.#result;
    const kept = feedback.request === undefined ? null : this.#pending(feedback.request, now ?? 0);
    const n = this.config.dimensions;
    const own = withVectors(feedback, this.runtime, n);
    const signal = readSignal(own, n);
    if (feedback.query !== undefined) this.#placeForLearning(feedback.query);
    if (kept !== null) this.#x.set(kept.x);
    if (kept !== null) this.#y.set(kept.base);
    if (!this.enabled) return Object.assign(result, { reason: "disabled" });
    if (kept === null) this.#forward();
    else this.#addSlow(kept.gate);
    const learn = () => {
      const request = feedback.request ?? { x: this.#x, output: this.#y, gate: this.#gate };
      const learned = this.#learner?.learn(request, own, now);
      if (learned !== undefined) {
        const { applied, reason, boundary, rolledBack } = learned;
        Object.assign(result, { applied, reason, boundary, rolledBack });
      }
    };
    if (signal.kind === "quality") {
      if (this.#learner === null) refuseWithoutSlow();
      learn();
    } else {
      const settings = { score: "cosine", temperature: this.config.temperature, margin: this.#margin } as const;
      const gradient = this.#gradient.byteOffset;
      result.loss = lossAt(this.runtime, settings, this.#y.byteOffset, n, signal, 0, gradient).loss ?? 0;
      for (let i = 0; i < n; i++) this.#gradient[i]! *= signal.weight;
      result.gradientNorm = norm(this.#gradient);
      checkFinite(result.gradientNorm, "gradient");
      this.#learnFromGradient(learn);
      result.applied = true;
    }
    return result;
  }

  /** Both speeds; what may be refused comes first. */
  #learnFromGradient(learnSlowly: () => unknown): void {
    const result = this.#result;
    const { byteOffset: gradient } = this.#gradient;
    this.#recall?.reserve();
    learnSlowly();
    this.#recall?.learn(this.#x.byteOffset, gradient, result.gradientNorm);
    this.#clicks++;
  }

  /** Ends a task for the slow weights: what they know now is held on to from here on. */
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
      slow: this.#slow?.exportState() ?? null,
      learner: this.#learner?.exportState() ?? null,
    };
  }

  /** The state as a file: canonical, versioned, checksummed. */
  toBytes(): Uint8Array {
    return encodePersonalizer(this.exportState());
  }

  /** Frees the memory; any use after that is refused. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#slow?.[Symbol.dispose]();
    this.#recall?.free();
    this.runtime.free(this.#work);
  }

  /** Brings the query to unit length at #x and #y, and returns its norm; 0 leaves both as they were. */
  #place(query: Float32Array): number {
    this.#checkLive();
    checkFloats(query, this.config.dimensions, "query");
    const length = norm(query);
    if (!Number.isFinite(length)) checkAllFinite(query, "query");
    if (length === 0) return 0;
    for (let i = 0; i < query.length; i++) this.#x[i] = query[i]! / length;
    this.#y.set(this.#x);
    return length;
  }

  /** Whether nothing goes with an update of the slow weights but the update itself. */
  get #plain(): boolean {
    const config = this.#learner?.config;
    if (config === undefined) return true;
    const { replay, guard, boundary, maxDelta, margin, undo } = config;
    return (replay ?? guard ?? boundary ?? maxDelta ?? margin) === null && undo === 0;
  }

  get #margin(): number | null {
    return this.#learner?.config.margin ?? null;
  }

  #placeForLearning(query: Float32Array): void {
    if (this.#place(query) !== 0) return;
    throw new MicroLoraError("nothing-to-learn-from", "query", "is the zero vector", "Embed some text first");
  }

  /** The learner, with the query at #x and its transform at #y. */
  #learnerFor(query: Float32Array): Learner {
    this.#placeForLearning(query);
    if (this.#learner === null) return refuseWithoutSlow();
    if (this.enabled) this.#forward();
    return this.#learner;
  }

  #pending(id: string, now: number): KeptRequest {
    this.#checkLive();
    return this.#learner === null ? refuseWithoutSlow() : this.#learner.pending(id, now);
  }

  /** The transform at #y in the length of the query. */
  #scaled(query: Float32Array, length: number): Float32Array {
    return query.map((value, i) => value + length * (this.#y[i]! - this.#x[i]!));
  }

  #forward(): void {
    const { gated } = this.config;
    if (!gated) this.#addSlow(1);
    const share = this.#recall?.addTo(this.#x.byteOffset, this.#y.byteOffset) ?? 1;
    this.#gate = gated ? share : 1;
    if (gated) this.#addSlow(share);
  }

  /** y += gate * slow(x) */
  #addSlow(gate: number): void {
    if (!this.#slow?.enabled) return;
    const adapter = this.#slow.adapterOf(SLOW_MODULE);
    if (gate === 1) {
      adapter.forwardAdd(this.#x, this.#y);
      return;
    }
    this.#delta.fill(0);
    adapter.forwardAdd(this.#x, this.#delta);
    for (let i = 0; i < this.#delta.length; i++) this.#y[i]! += gate * this.#delta[i]!;
  }

  #checkLive(): void {
    if (this.#disposed)
      throw new MicroLoraError("disposed", "personalizer", "it was disposed of", "Create or load it again");
  }
}

function refuseWithoutSlow(): never {
  const remedy = "Switch `slow` on, or pass what was chosen, a rating or a gradient with the query";
  throw new MicroLoraError("nothing-to-learn-from", "slow", "is off, and recall keeps no requests", remedy);
}
