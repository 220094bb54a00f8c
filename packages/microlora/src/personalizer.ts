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
import type { DocumentId, EmbeddingIndex, SearchHit } from "./embedding-index.js";
import type { KernelsName, Pointer } from "./kernels/contract.js";
import { type Runtime, sharedRuntime } from "./kernels/runtime.js";
import { candidatesOf } from "./learn/candidates.js";
import { cosineCrossEntropy } from "./learn/cosine-cross-entropy.js";
import {
  checkPersonalizer,
  PERSONALIZER_DEFAULTS,
  type ResolvedPersonalizer,
  SLOW_MODULE,
  type SlowConfig,
} from "./learn/personalizer-config.js";
import { Recall, type RecallConfig } from "./learn/recall.js";
import { type LoadOptions, MicroLora } from "./micro-lora.js";

/** How the slow weights tell queries apart before they have learned anything. */
export interface SlowStart {
  /**
   * Rows of A [dimensions] each, one per rank, for instance `EmbeddingIndex.directions`; random ones by default. An A that
   * is made from data learns what depends on the topic (EVA, Paischer et al. 2024, initialises it so). Their length
   * counts: the step of B grows with its square.
   */
  readonly directions?: readonly Float32Array[];
}

export interface PersonalizerConfig {
  /** Width of the embeddings. */
  readonly dimensions: number;
  /** Temperature of the softmax over the cosine scores of what was shown. */
  readonly temperature?: number;
  /** The slow speed, a MicroLoRA on the query; false switches it off. */
  readonly slow?: (Partial<SlowConfig> & SlowStart) | false;
  /** The fast speed, the last clicks; false switches it off. */
  readonly recall?: Partial<RecallConfig> | false;
  readonly seed?: number;
  /** Fingerprint of the embedding model, which a checkpoint carries. */
  readonly baseModel?: string;
  readonly runtime?: Runtime;
  readonly kernels?: KernelsName;
}

/** One click: what was asked, what was shown, and which of it was chosen. */
export interface Click {
  /** Embedding of the query [dimensions]. */
  readonly query: Float32Array;
  /** Id or embedding of what was chosen; one of `shown`. */
  readonly chosen: DocumentId | Float32Array;
  /** Ids or embeddings of what was shown, the chosen one among them. */
  readonly shown: readonly (DocumentId | Float32Array)[];
  /** Where ids are to be looked up. */
  readonly index?: EmbeddingIndex;
}

export interface ClickResult {
  applied: boolean;
  /** Why nothing was applied. */
  reason: "disabled" | null;
  /** Cross-entropy of the click before learning from it, in nats. */
  loss: number;
  /** Norm of dLoss/dy. */
  gradientNorm: number;
}

/**
 * One user's view of an embedding, which learns from clicks at two speeds: y = x + slow(x) + recall(x). Documents are
 * embedded once and never again; only queries are transformed.
 */
export class Personalizer {
  readonly config: ResolvedPersonalizer;
  readonly runtime: Runtime;
  /** Whether clicks act and are learned from. */
  enabled = true;
  readonly #slow: MicroLora | null;
  readonly #recall: Recall | null;
  // One block for the request under way: the unit query, the transformed one, and the gradient at it.
  readonly #work: Pointer;
  readonly #x: Float32Array;
  readonly #y: Float32Array;
  readonly #gradient: Float32Array;
  readonly #feedback: { readonly gradient: Float32Array; readonly module: string };
  readonly #result: ClickResult = { applied: false, reason: null, loss: 0, gradientNorm: 0 };
  #clicks = 0;
  #disposed = false;

  private constructor(config: ResolvedPersonalizer, runtime: Runtime, slow: MicroLora | null) {
    const n = config.dimensions;
    this.config = config;
    this.runtime = runtime;
    this.#slow = slow;
    this.#recall = config.recall && new Recall(runtime, n, config.recall);
    try {
      this.#work = runtime.allocate(3 * n);
    } catch (error) {
      slow?.[Symbol.dispose]();
      throw error;
    }
    this.#x = runtime.view(this.#work, n);
    this.#y = runtime.view(this.#work + 4 * n, n);
    this.#gradient = runtime.view(this.#work + 8 * n, n);
    this.#feedback = { gradient: this.#gradient, module: SLOW_MODULE };
  }

  /** @throws MicroLoraError `invalid-config`, `out-of-range`, `memory-full`, `kernels-unavailable` */
  static async create(config: PersonalizerConfig): Promise<Personalizer> {
    const { slow, recall, dimensions, baseModel } = config;
    const resolved: ResolvedPersonalizer = {
      dimensions,
      temperature: config.temperature ?? PERSONALIZER_DEFAULTS.temperature,
      recall: recall === false ? null : { ...PERSONALIZER_DEFAULTS.recall, ...recall },
      baseModel: baseModel ?? null,
    };
    checkPersonalizer(resolved);
    const runtime = config.runtime ?? (await sharedRuntime(config.kernels));
    const lora = slow === false ? null : await createSlow(config, slow ?? {}, runtime);
    return new Personalizer(resolved, runtime, lora);
  }

  /** A copy in the state that `exportState` gave. @throws MicroLoraError `corrupt-checkpoint`, `wrong-base` */
  static async fromState(state: PersonalizerState, options: LoadOptions = {}): Promise<Personalizer> {
    checkPersonalizerState(state, options.methods);
    checkBase(state.config.baseModel, options);
    const runtime = options.runtime ?? (await sharedRuntime(options.kernels));
    const slow = state.slow && (await MicroLora.fromState(state.slow, { ...options, runtime }));
    const personalizer = new Personalizer(state.config, runtime, slow);
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
    return Personalizer.fromState(prior.exportState(), { runtime: prior.runtime });
  }

  /** Clicks learned from. */
  get clicks(): number {
    return this.#clicks;
  }

  /** The slow weights, if they are on. */
  get slow(): MicroLora | null {
    return this.#slow;
  }

  /**
   * The query as this user means it, x + |x| (slow(x / |x|) + recall(x / |x|)), for any vector database that scores by
   * cosine or inner product.
   * @param query [dimensions]
   * @returns a new array [dimensions]
   * @throws MicroLoraError `shape-mismatch`, `not-finite`, `disposed`
   */
  transform(query: Float32Array): Float32Array {
    const length = this.#place(query);
    if (length === 0 || !this.enabled) return query.slice();
    this.#forward();
    const output = new Float32Array(query.length);
    for (let i = 0; i < output.length; i++) output[i] = query[i]! + length * (this.#y[i]! - this.#x[i]!);
    return output;
  }

  /** The k documents nearest to the transformed query. */
  search(query: Float32Array, index: EmbeddingIndex, k: number): SearchHit[] {
    return index.search(this.transform(query), k);
  }

  /**
   * Learns from one click, at both speeds, by the exact gradient of softmax cross-entropy over the cosine scores of what
   * was shown.
   * @returns one object that every call writes anew
   * @throws MicroLoraError `shape-mismatch`, `not-finite`, `not-shown`, `unknown-document`, `nothing-to-learn-from`;
   * nothing has changed then
   */
  learn(click: Click): Readonly<ClickResult> {
    const result = this.#result;
    result.applied = false;
    result.reason = "disabled";
    result.loss = 0;
    result.gradientNorm = 0;
    if (this.#place(click.query) === 0) {
      throw new MicroLoraError("nothing-to-learn-from", "query", "is the zero vector", "Embed some text first");
    }
    const n = this.config.dimensions;
    const { documents, chosen } = candidatesOf(click, this.runtime, n);
    if (!this.enabled) return result;
    this.#forward();
    const { byteOffset: y } = this.#y;
    const { byteOffset: gradient } = this.#gradient;
    result.loss = cosineCrossEntropy(this.runtime, y, n, documents, chosen, this.config.temperature, gradient);
    result.gradientNorm = norm(this.#gradient);
    checkFinite(result.gradientNorm, "gradient");
    this.#recall?.reserve();
    this.#slow?.learn(this.#x, this.#feedback);
    this.#recall?.learn(this.#x.byteOffset, gradient, result.gradientNorm);
    this.#clicks++;
    result.applied = true;
    result.reason = null;
    return result;
  }

  /** Ends a task for the slow weights: what they know now is held on to from here on. */
  consolidate(): void {
    this.#checkLive();
    this.#slow?.consolidate();
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

  #forward(): void {
    if (this.#slow?.enabled) this.#slow.getAdapter(SLOW_MODULE)?.forwardAdd(this.#x, this.#y);
    this.#recall?.addTo(this.#x.byteOffset, this.#y.byteOffset);
  }

  #checkLive(): void {
    if (this.#disposed)
      throw new MicroLoraError("disposed", "personalizer", "it was disposed of", "Create or load it again");
  }
}

async function createSlow(
  { dimensions, seed = 0, baseModel }: PersonalizerConfig,
  { directions, ...given }: Partial<SlowConfig> & SlowStart,
  runtime: Runtime,
): Promise<MicroLora> {
  const rank = directions === undefined ? {} : { rank: directions.length };
  const settings = { ...PERSONALIZER_DEFAULTS.slow, ...rank, ...given };
  const { rank: resolvedRank, alpha, bias, ...learning } = settings;
  if (directions !== undefined && directions.length !== settings.rank) {
    throw new MicroLoraError(
      "invalid-config",
      "slow.directions",
      `are ${directions.length}, for rank ${settings.rank}`,
      "Pass one direction per rank, or leave the rank out",
    );
  }
  for (const [r, direction] of (directions ?? []).entries()) {
    checkFloats(direction, dimensions, `slow.directions[${r}]`);
    checkAllFinite(direction, `slow.directions[${r}]`);
  }
  const lora = await MicroLora.create({
    rank: resolvedRank,
    alpha,
    bias,
    hiddenSize: dimensions,
    targetModules: [SLOW_MODULE],
    seed,
    learning,
    runtime,
    ...(baseModel !== undefined && { baseModel }),
  });
  const { loraA } = lora.adapterOf(SLOW_MODULE);
  for (const [r, direction] of (directions ?? []).entries()) loraA.set(direction, r * dimensions);
  return lora;
}
