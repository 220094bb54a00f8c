import { checkFinite, refuseConfig, withDefaults } from "./base/check.js";
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
import { type Runtime, sharedRuntime } from "./kernels/runtime.js";
import { candidatesOf } from "./learn/candidates.js";
import { cosineCrossEntropy } from "./learn/cosine-cross-entropy.js";
import { lossAt } from "./learn/evaluation.js";
import type { KeptRequest } from "./learn/example.js";
import { type PersonalFeedback, withVectors } from "./learn/personal-feedback.js";
import {
  LEARNING_OPTIONS,
  type PersonalizerConfig,
  type ResolvedPersonalizer,
  resolvePersonalizer,
  SLOW_MODULE,
} from "./learn/personalizer-config.js";
import { Recall } from "./learn/recall.js";
import { readSignal } from "./learn/signal.js";
import { Learner } from "./learner.js";
import { type LoadOptions, MicroLora } from "./micro-lora.js";
import { PersonalQuery } from "./personal-query.js";
import { around, createSlow } from "./slow.js";

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
  readonly #query: PersonalQuery;
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
      this.#query = new PersonalQuery(runtime, n, slow, this.#recall, config.gated);
    } catch (error) {
      slow?.[Symbol.dispose]();
      throw error;
    }
    this.#feedback = { gradient: this.#query.gradient, module: SLOW_MODULE, reward: 1 };
  }

  /** @throws MicroLoraError `invalid-config`, `out-of-range`, `memory-full`, `kernels-unavailable` */
  static async create(config: PersonalizerConfig): Promise<Personalizer> {
    const resolved = resolvePersonalizer(config);
    const { slow = {} } = config;
    const runtime = config.runtime ?? (await sharedRuntime(config.kernels));
    const lora = slow === false ? null : await createSlow(config, slow, runtime);
    const learning = {
      ...withDefaults({ ...LEARNING_OPTIONS, seed: config.seed ?? 0 }, config.learning, "learning"),
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
    this.#checkLive();
    const length = this.#query.place(query);
    if (length === 0 || !this.enabled) return query.slice();
    this.#query.forward();
    return this.#query.scaled(query, length);
  }

  /** The k documents nearest to the transformed query. */
  search(query: Float32Array, index: EmbeddingIndex, k: number): SearchHit[] {
    if (typeof index?.search !== "function") refuseConfig("index", index, "Pass an EmbeddingIndex");
    return index.search(this.transform(query), k);
  }

  /** Keeps a query whose feedback comes later, in any order. @throws MicroLoraError as `Learner.keep`, `nothing-to-learn-from` */
  keep(id: string, query: Float32Array, now: number): void {
    const learner = this.#learnerFor(query);
    learner.keep(id, this.#query, now);
  }

  /**
   * As `transform`, with known noise in it, so that a bare quality that comes back for `id` says which way is better.
   * @throws MicroLoraError as `Learner.explore`, `nothing-to-learn-from`
   */
  explore(id: string, query: Float32Array, now: number): Float32Array {
    const learner = this.#learnerFor(query);
    learner.explore(id, this.#query, now);
    return this.#query.scaled(query, norm(query));
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
    this.#checkLive();
    Object.assign(this.#result, NOTHING);
    const given = feedback ?? {};
    if (this.#plain && isClick(given)) return this.#learnClick(given);
    return this.#learnAny(given as PersonalFeedback<DocumentId>, now);
  }

  /** The most frequent kind, with what the index holds left where it is. */
  #learnClick(click: Click): ClickResult {
    const result = this.#result;
    const query = this.#query;
    query.placeForLearning(click.query);
    const n = this.config.dimensions;
    const { documents, chosen } = candidatesOf(click, this.runtime, n);
    if (!this.enabled) return Object.assign(result, { reason: "disabled" });
    query.forward();
    const { byteOffset: y } = query.output;
    const { byteOffset: gradient } = query.gradient;
    result.loss = cosineCrossEntropy(this.runtime, y, n, documents, chosen, this.config.temperature, gradient);
    result.gradientNorm = norm(query.gradient);
    checkFinite(result.gradientNorm, "gradient");
    this.#feedback.reward = query.gate;
    this.#learnFromGradient(() => this.#slow?.learn(query.x, this.#feedback));
    result.applied = true;
    return result;
  }

  #learnAny(feedback: PersonalFeedback<DocumentId>, now: number | undefined): ClickResult {
    const result = this.#result;
    const kept = feedback.request === undefined ? null : this.#pending(feedback.request, now ?? 0);
    const n = this.config.dimensions;
    const own = withVectors(feedback, this.runtime, n);
    const signal = readSignal(own, n);
    const query = this.#query;
    if (feedback.query !== undefined) query.placeForLearning(feedback.query);
    if (kept !== null) query.x.set(kept.x);
    if (kept !== null) query.output.set(kept.base);
    if (!this.enabled) return Object.assign(result, { reason: "disabled" });
    if (kept === null) query.forward();
    else query.addSlow(kept.gate);
    const learn = () => {
      const learned = this.#learner?.learn(feedback.request ?? query, own, now);
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
      const { gradient, output } = query;
      const { loss } = lossAt(this.runtime, settings, output.byteOffset, n, signal, 0, gradient.byteOffset);
      result.loss = loss ?? 0;
      for (let i = 0; i < n; i++) gradient[i]! *= signal.weight;
      result.gradientNorm = norm(gradient);
      checkFinite(result.gradientNorm, "gradient");
      this.#learnFromGradient(learn);
      result.applied = true;
    }
    return result;
  }

  /** Both speeds; what may be refused comes first. */
  #learnFromGradient(learnSlowly: () => unknown): void {
    const result = this.#result;
    const { x, gradient } = this.#query;
    this.#recall?.reserve();
    learnSlowly();
    this.#recall?.learn(x.byteOffset, gradient.byteOffset, result.gradientNorm);
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
    this.#query.free();
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

  /** The learner, with the query transformed. */
  #learnerFor(query: Float32Array): Learner {
    this.#checkLive();
    this.#query.placeForLearning(query);
    if (this.#learner === null) return refuseWithoutSlow();
    if (this.enabled) this.#query.forward();
    return this.#learner;
  }

  #pending(id: string, now: number): KeptRequest {
    this.#checkLive();
    return this.#learner === null ? refuseWithoutSlow() : this.#learner.pending(id, now);
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
