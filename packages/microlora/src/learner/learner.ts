import { capacityOf } from "../adapter/capacity.js";
import { type LearnResult, NOTHING } from "../adapter/feedback.js";
import type { AdapterState } from "../adapter/lora-adapter.js";
import type { Method } from "../adapter/methods/method.js";
import { type LoadOptions, MicroLora, runtimeOf, type SyncLoadOptions } from "../adapter/micro-lora.js";
import { checkAllFinite, checkFloats, checkRange } from "../base/check.js";
import { refusal, shown } from "../base/errors.js";
import { decodeLearner, encodeLearner } from "./codec.js";
import { checkLearnerState, type LearnerParts, type LearnerState } from "./codec-check.js";
import { boundaryOf, type LearnerConfig, type ResolvedLearner, resolveLearner } from "./config.js";
import { evaluationRoom } from "./evaluation.js";
import type { Example, KeptRequest } from "./example.js";
import { writeNoise } from "./exploration.js";
import { type ChoiceFeedback, type Feedback, readSignal, rewardOf } from "./feedback/signal.js";
import { type PendingRequest, PendingRequests } from "./pending-requests.js";
import type { LearnerReport } from "./report.js";
import { checkLatency, checkSession, Statistics } from "./statistics.js";
import { type KnownExample, Updates } from "./updates.js";

/** One request that a module served. */
export interface Request {
  /** Input of the module [inFeatures]. */
  readonly x: Float32Array;
  /** Output, the adapter's share included [outFeatures]; the adapter's share alone by default. */
  readonly output?: Float32Array;
  /** Share of the delta that was let through, in [0, 1], and is learned through; 1 by default. */
  readonly gate?: number;
  /** The only module by default. */
  readonly module?: string;
  /** A name of at most 256 characters, under which `report` counts the request. */
  readonly session?: string;
  /** Time that the request took, for `report`. */
  readonly latencyMicroseconds?: number;
}

/**
 * Learns from any kind of feedback: makes a gradient of it, and decides what is kept. Everything beside the MicroLora itself is
 * off until it is configured.
 */
export class Learner {
  /** The adapters that learn. */
  readonly lora: MicroLora;
  /** The configuration with every default filled in. */
  readonly config: ResolvedLearner;
  readonly #updates: Updates;
  readonly #pending: PendingRequests;
  readonly #sessions = new Statistics();
  readonly #modules = new Statistics();
  #explorations = 0;

  /** @throws MicroLoraError `invalid-config`, `out-of-range`, `memory-full` */
  constructor(lora: MicroLora, config: LearnerConfig = {}) {
    if (!(lora instanceof MicroLora)) {
      throw refusal("invalid-argument", "lora", `is ${shown(lora)}`, "Pass what MicroLora.create gives");
    }
    const resolved = resolveLearner(config);
    this.lora = lora;
    this.config = resolved;
    this.#pending = new PendingRequests(resolved.pending);
    this.#updates = new Updates(lora, resolved, config.boundary ?? null);
  }

  /** A copy in the state that `exportState` gave. @throws MicroLoraError `corrupt-checkpoint`, `wrong-base`, `invalid-config` */
  static async fromState(state: LearnerState, options: LoadOptions = {}): Promise<Learner> {
    return Learner.fromStateSync(state, { ...options, runtime: await runtimeOf(options) });
  }

  /** As `fromState`, at once, in a runtime that is there. */
  static fromStateSync(state: LearnerState, options: SyncLoadOptions): Learner {
    return Learner.#restored(checkLearnerState(state, options.methods), options);
  }

  /** What `toBytes` wrote, checked in full before anything is built. @throws MicroLoraError */
  static async fromBytes(bytes: Uint8Array, options: LoadOptions = {}): Promise<Learner> {
    return Learner.fromBytesSync(bytes, { ...options, runtime: await runtimeOf(options) });
  }

  /** As `fromBytes`, at once, in a runtime that is there. */
  static fromBytesSync(bytes: Uint8Array, options: SyncLoadOptions): Learner {
    return Learner.#restored(decodeLearner(bytes, options.methods), options);
  }

  static #restored(state: LearnerState, options: SyncLoadOptions): Learner {
    const lora = MicroLora.restored(state.lora, options);
    try {
      return Learner.resume(lora, state, options.methods);
    } catch (error) {
      lora.close();
      throw error;
    }
  }

  /** @internal Around a MicroLora in the state that goes with a checked one. @throws MicroLoraError `memory-full` */
  static resume(lora: MicroLora, state: LearnerParts, methods: readonly Method[] = []): Learner {
    const learner = new Learner(lora, { ...state.config, boundary: boundaryOf(state.config.boundary, methods) });
    learner.#updates.restore(state);
    learner.#explorations = state.explorations;
    learner.#pending.restore(state.pending);
    learner.#modules.restore(state.modules);
    learner.#sessions.restore(state.sessions);
    return learner;
  }

  /**
   * Keeps a request whose feedback comes later, in any order.
   * @param now milliseconds of any clock that never goes back
   * @throws MicroLoraError `unknown-request` for an id that is kept already, `clock-backwards`, `out-of-range`
   */
  keep(id: string, request: Request, now: number): void {
    this.keepRequest(id, this.#kept(request), request, now);
  }

  /** @internal As `keep`, where the output without the adapter's share is known. */
  keepRequest(id: string, kept: KeptRequest, counted: Counted, now: number): void {
    const request = pendingOf(id, kept, counted, null);
    this.#pending.checkRoom(request, now);
    this.#pending.put(request, now);
  }

  /**
   * Adds known noise to the output, in place, and keeps the request, so that a bare score that comes back later tells a direction.
   * @throws MicroLoraError as `keep`; the output is untouched then
   */
  explore(id: string, request: Request & { readonly output: Float32Array }, now: number): void {
    const { outFeatures } = this.lora.adapterOf(this.#moduleOf(request));
    checkFloats(request.output, outFeatures, "output");
    this.exploreRequest(id, this.#kept(request), request, request.output, now);
  }

  /** @internal As `explore`, where the output without the adapter's share is known. */
  exploreRequest(id: string, kept: KeptRequest, counted: Counted, output: Float32Array, now: number): void {
    const noise = new Float32Array(output.length);
    const request = pendingOf(id, kept, counted, noise);
    this.#pending.checkRoom(request, now);
    writeNoise(noise, this.config.seed, this.#explorations++);
    for (let i = 0; i < noise.length; i++) output[i]! += this.config.exploration * noise[i]!;
    this.#pending.put(request, now);
  }

  /**
   * Learns from the feedback for one request: the one served now, or one that was kept, with its input and the weights of now.
   * @param now required for a kept one
   * @throws MicroLoraError `nothing-to-learn-from`, `mixed-feedback`, `not-shown`, `unknown-request`, `expired-request`,
   * `clock-backwards`, `unknown-module`, `shape-mismatch`, `not-finite`, `out-of-range`, `update-overflow`, `memory-full`; nothing has
   * changed then
   */
  learn(request: Request | string, feedback: Feedback, now = this.#pending.now): LearnResult {
    const kept = typeof request === "string" ? this.#pending.get(request, now) : null;
    const { module, x, base, gate } = kept ?? this.#kept(request as Request);
    const signal = readSignal(feedback, this.lora.adapterOf(module).outFeatures);
    const example: Example = { module, x, base, gate, signal };
    const counted = kept ?? (request as Request);
    const update = () => this.#updates.learn(example, kept?.noise ?? null);
    return this.#learn(update, module, rewardOf(signal), counted, kept, now);
  }

  /**
   * @internal Learns from an example whose loss is known.
   * @param id of the request that was kept, which goes then, if it is still there
   */
  learnKnown(known: KnownExample, id: string | null, now = this.#pending.now): LearnResult {
    const kept = id === null ? null : this.#pending.find(id);
    const update = () => this.#updates.learnKnown(known);
    return this.#learn(update, known.example.module, known.reward, kept ?? NO_STATISTICS, kept, now);
  }

  /**
   * Learns from a batch of choices in one update; the choices of the others are each one's negatives (InfoNCE in a batch: van den Oord
   * et al. 2018, eq. 4). An empty batch is not an update.
   * @throws MicroLoraError as `learn`; nothing has changed then
   */
  learnBatch(batch: readonly { readonly request: Request; readonly chosen: ChoiceFeedback["chosen"] }[]): void {
    if (!Array.isArray(batch) || batch.some((one) => !one)) {
      const problem = `is ${shown(batch)}, not a list of choices`;
      throw refusal("nothing-to-learn-from", "batch", problem, "Pass [{ request, chosen }, …]");
    }
    const examples = batch.map(({ request, chosen }, i) => {
      const kept = this.#kept(request);
      const base = kept.base.slice();
      const rejected = batch.flatMap(({ chosen: other }, j) => (i === j ? [] : [other]));
      return { ...kept, base, signal: readSignal({ chosen, rejected }, base.length) };
    });
    if (this.lora.enabled && examples.length > 0) this.#updates.learnBatch(examples);
  }

  /** Ends a task by hand: from here on, the weights of now are held on to. @throws MicroLoraError `update-overflow`, `memory-full` */
  consolidate(): void {
    this.#updates.cycle.consolidate();
  }

  /** The adapters as they are, for `rollback`. */
  snapshot(): readonly AdapterState[] {
    return this.#updates.cycle.weights();
  }

  /** Back to a snapshot: weights, optimiser and EWC. @throws MicroLoraError `corrupt-checkpoint`, `memory-full` */
  rollback(snapshot: readonly AdapterState[]): void {
    this.#updates.cycle.rollback(snapshot);
  }

  /**
   * Takes the last n updates back, as far as `config.undo` remembers them; returns how many. Updates that the guard has taken back are
   * not brought back, and the end of a task stays.
   */
  undo(n = 1): number {
    return this.#updates.cycle.undo(n);
  }

  /** @internal Mean score of the items rated so far: the reference that a rating is compared with. */
  get reference(): number {
    return this.#updates.reference;
  }

  /** The methods in use whose code was handed in: loading a copy needs them. */
  get methods(): readonly Method[] {
    return this.#updates.cycle.methods;
  }

  /** A request that is kept. @throws MicroLoraError `unknown-request`, `expired-request`, `clock-backwards` */
  pending(id: string, now: number): Readonly<PendingRequest> {
    return this.#pending.get(id, now);
  }

  /** Counts of everything kept and decided, and how much of each adapter is in use. */
  report(): LearnerReport {
    const adapters = this.lora.config.modules.map(({ module }) => [module, capacityOf(this.lora.adapterOf(module))]);
    return {
      ...this.#updates.cycle.report(),
      updates: this.lora.adaptationCount,
      pending: { count: this.#pending.count, bytes: this.#pending.bytes },
      capacity: Object.fromEntries(adapters),
      modules: this.#modules.report(),
      sessions: this.#sessions.report(),
    };
  }

  /** A copy of everything that a restart must bring back; the copies for `undo` are not part of it. */
  exportState(): LearnerState {
    return {
      config: this.config,
      lora: this.lora.exportState(),
      ...this.#updates.exportState(),
      explorations: this.#explorations,
      pending: this.#pending.exportState(),
      modules: this.#modules.exportState(),
      sessions: this.#sessions.exportState(),
    };
  }

  /** The state as a file: canonical, versioned, checksummed. */
  toBytes(): Uint8Array {
    return encodeLearner(this.exportState());
  }

  /** Closes the MicroLora; any use after that is refused. */
  close(): void {
    this.lora.close();
  }

  /** As `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** One path for every feedback: the update, then the statistics, then the kept request goes. */
  #learn(
    update: () => LearnResult,
    module: string,
    reward: number,
    { session, latencyMicroseconds }: Counted,
    kept: PendingRequest | null,
    now: number,
  ): LearnResult {
    if (!this.lora.enabled) return { ...NOTHING, reason: "disabled" };
    const result = update();
    this.#modules.add(module, reward, latencyMicroseconds);
    if (typeof session === "string") this.#sessions.add(session, reward, latencyMicroseconds);
    if (kept !== null) this.#pending.done(kept, now);
    return result;
  }

  /** The module of a request, its input, and its output without the adapter's delta, which the next call overwrites. */
  #kept(request: Request): KeptRequest {
    const module = this.#moduleOf(request);
    const { x, output, gate = 1, latencyMicroseconds, session } = request;
    checkLatency(latencyMicroseconds);
    checkSession(session);
    checkRange(gate, 0, 1, "gate");
    const adapter = this.lora.adapterOf(module);
    checkFloats(x, adapter.inFeatures, "x");
    const { base } = evaluationRoom(adapter.runtime, adapter.outFeatures);
    base.fill(0);
    if (output === undefined) return { module, x, base, gate };
    checkFloats(output, adapter.outFeatures, "output");
    if (this.lora.enabled) adapter.forwardAdd(x, base);
    for (let i = 0; i < base.length; i++) base[i] = output[i]! - gate * base[i]!;
    return { module, x, base, gate };
  }

  #moduleOf(request: Request): string {
    if (typeof request !== "object" || request === null) {
      throw refusal("unknown-request", "request", `is ${shown(request)}`, "Pass { x, output }");
    }
    const { modules } = this.lora.config;
    return request.module ?? (modules.length === 1 ? modules[0]!.module : "");
  }
}

/** A request as it is kept, sharing nothing with the caller. @throws MicroLoraError `not-finite` */
function pendingOf(
  id: string,
  { module, x, base, gate }: KeptRequest,
  { session, latencyMicroseconds }: Counted,
  noise: Float32Array | null,
): Omit<PendingRequest, "at"> {
  checkAllFinite(x, "x");
  checkAllFinite(base, "output");
  const counted = { session: session ?? null, latencyMicroseconds: latencyMicroseconds ?? null };
  return { id, ...counted, module, x: x.slice(), base: base.slice(), gate, noise };
}

/** The part of a request that `report` counts. */
export interface Counted {
  readonly session?: string | null;
  readonly latencyMicroseconds?: number | null;
}

/** A request without a name and a time. */
export const NO_STATISTICS: Counted = {};
