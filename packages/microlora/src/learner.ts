import type { AdapterState } from "./adapter/lora-adapter.js";
import type { Method } from "./adapter/methods.js";
import { checkAllFinite, checkFloats, checkRange } from "./base/check.js";
import { MicroLoraError, shown } from "./base/errors.js";
import { checkLearnerState, type LearnerParts, type LearnerState } from "./checkpoint/learner-check.js";
import { decodeLearner, encodeLearner } from "./checkpoint/learner-state.js";
import { capacityOf } from "./learn/capacity.js";
import type { KeptRequest } from "./learn/example.js";
import { writeNoise } from "./learn/exploration.js";
import { boundaryOf, type LearnerConfig, type ResolvedLearner, resolveLearner } from "./learn/learner-config.js";
import type { LearnerReport } from "./learn/learner-report.js";
import { type PendingRequest, PendingRequests } from "./learn/pending-requests.js";
import { type AnyFeedback, type ChoiceSignal, readSignal, rewardOf } from "./learn/signal.js";
import { checkLatency, Statistics } from "./learn/statistics.js";
import { type LoadOptions, MicroLora } from "./micro-lora.js";
import { type LearnerResult, Updates } from "./updates.js";

/** One request that a module served. */
export interface Request {
  /** What went into the module [inFeatures]. */
  readonly x: Float32Array;
  /** What came out, the adapter's share included [outFeatures]; that alone by default. */
  readonly output?: Float32Array;
  /** Share of the delta that was let through, in [0, 1], and is learned through; 1 by default. */
  readonly gate?: number;
  /** The only one by default. */
  readonly module?: string;
  readonly session?: string;
  readonly latencyMicroseconds?: number;
}

/**
 * Learns from whatever feedback there is: makes a gradient of it, and decides what is kept. Everything beside the MicroLora itself is
 * off until it is configured.
 */
export class Learner {
  readonly lora: MicroLora;
  readonly config: ResolvedLearner;
  readonly #updates: Updates;
  readonly #pending: PendingRequests;
  readonly #sessions = new Statistics();
  readonly #modules = new Statistics();
  readonly #bases = new Map<string, Float32Array>();
  #explorations = 0;

  /** @throws MicroLoraError `invalid-config`, `out-of-range`, `memory-full` */
  constructor(lora: MicroLora, config: LearnerConfig = {}) {
    const resolved = resolveLearner(config);
    this.lora = lora;
    this.config = resolved;
    this.#pending = new PendingRequests(resolved.pending);
    this.#updates = new Updates(lora, resolved, config.boundary ?? null);
  }

  /** A copy in the state that `exportState` gave. @throws MicroLoraError `corrupt-checkpoint`, `wrong-base`, `invalid-config` */
  static async fromState(state: LearnerState, options: LoadOptions = {}): Promise<Learner> {
    checkLearnerState(state, options.methods);
    const lora = await MicroLora.fromState(state.lora, options);
    try {
      return Learner.resume(lora, state, options.methods);
    } catch (error) {
      lora[Symbol.dispose]();
      throw error;
    }
  }

  /** @internal Around a MicroLora in the state that goes with a checked one. */
  static resume(lora: MicroLora, state: LearnerParts, methods: readonly Method[] = []): Learner {
    const learner = new Learner(lora, { ...state.config, boundary: boundaryOf(state.config.boundary, methods) });
    learner.#updates.restore(state);
    learner.#explorations = state.explorations;
    learner.#pending.restore(state.pending);
    learner.#modules.restore(state.modules);
    learner.#sessions.restore(state.sessions);
    return learner;
  }

  /** What `toBytes` wrote, checked in full before anything is built. @throws MicroLoraError */
  static async fromBytes(bytes: Uint8Array, options: LoadOptions = {}): Promise<Learner> {
    return Learner.fromState(decodeLearner(bytes, options.methods), options);
  }

  /**
   * Keeps a request whose feedback comes later, in any order.
   * @param now milliseconds of any clock that never goes back
   * @throws MicroLoraError `unknown-request` for an id that is kept already, `clock-backwards`, `out-of-range`
   */
  keep(id: string, request: Request, now: number): void {
    const kept = this.#pendingOf(id, request, null);
    this.#pending.checkRoom(kept, now);
    this.#pending.put(kept, now);
  }

  /**
   * Adds known noise to the output, in place, and keeps the request, so that a bare score that comes back later says which way is
   * better.
   * @throws MicroLoraError as `keep`; the output is untouched then
   */
  explore(id: string, request: Request & { readonly output: Float32Array }, now: number): void {
    const { outFeatures } = this.lora.adapterOf(this.#moduleOf(request));
    checkFloats(request.output, outFeatures, "output");
    const noise = new Float32Array(outFeatures);
    const kept = this.#pendingOf(id, request, noise);
    this.#pending.checkRoom(kept, now);
    writeNoise(noise, this.config.seed, this.#explorations++);
    for (let i = 0; i < noise.length; i++) request.output[i]! += this.config.exploration * noise[i]!;
    this.#pending.put(kept, now);
  }

  /**
   * Learns from the feedback for one request: the one served now, or one that was kept, with its input and the weights of now.
   * @param now required for a kept one
   * @throws MicroLoraError `nothing-to-learn-from`, `mixed-feedback`, `not-shown`, `unknown-request`, `expired-request`,
   * `clock-backwards`, `unknown-module`, `shape-mismatch`, `not-finite`, `out-of-range`, `update-overflow`; nothing has changed then
   */
  learn(request: Request | string, feedback: AnyFeedback, now = this.#pending.now): Readonly<LearnerResult> {
    const kept = typeof request === "string" ? this.#pending.get(request, now) : null;
    const { module, x, base, gate } = kept ?? this.#kept(request as Request);
    const signal = readSignal(feedback, this.lora.adapterOf(module).outFeatures);
    this.#updates.learn({ module, x, base, gate, signal }, kept?.noise ?? null);
    const { result } = this.#updates;
    if (result.reason === "disabled") return result;
    const { session, latencyMicroseconds } = kept ?? (request as Request);
    this.#modules.add(module, rewardOf(signal), latencyMicroseconds);
    if (typeof session === "string") this.#sessions.add(session, rewardOf(signal), latencyMicroseconds);
    if (kept !== null) this.#pending.done(kept, now);
    return result;
  }

  /**
   * Learns from a batch of choices in one update, what the others chose being each one's negatives (InfoNCE in a batch: van den Oord
   * et al. 2018, eq. 4).
   * @throws MicroLoraError as `learn`; nothing has changed then
   */
  learnBatch(batch: readonly { readonly request: Request; readonly chosen: ChoiceSignal["chosen"] }[]): void {
    if (!Array.isArray(batch) || batch.some((one) => !one)) {
      const problem = `is ${shown(batch)}, not one of choices`;
      throw new MicroLoraError("nothing-to-learn-from", "batch", problem, "Pass [{ request, chosen }, …]");
    }
    const examples = batch.map(({ request, chosen }, i) => {
      const kept = this.#kept(request);
      const base = kept.base.slice();
      const rejected = batch.flatMap(({ chosen: other }, j) => (i === j ? [] : [other]));
      return { ...kept, base, signal: readSignal({ chosen, rejected }, base.length) };
    });
    if (this.lora.enabled) this.#updates.learnBatch(examples);
  }

  /** Ends a task by hand: what is known now is held on to from here on. */
  consolidate(): void {
    this.#updates.safeguards.consolidate();
  }

  /** The adapters as they are, for `rollback`. */
  snapshot(): readonly AdapterState[] {
    return this.#updates.safeguards.weights();
  }

  /** Back to a snapshot: weights, optimiser and EWC. @throws MicroLoraError `corrupt-checkpoint` */
  rollback(snapshot: readonly AdapterState[]): void {
    this.#updates.safeguards.rollback(snapshot);
  }

  /** Takes the last n updates back, as far as `config.undo` remembers them; returns how many. */
  undo(n = 1): number {
    return this.#updates.safeguards.undo(n);
  }

  /** The methods in use whose code was handed in: what loading a copy needs. */
  get methods(): readonly Method[] {
    return this.#updates.safeguards.methods;
  }

  /** A request that is kept. @throws MicroLoraError `unknown-request`, `expired-request`, `clock-backwards` */
  pending(id: string, now: number): Readonly<PendingRequest> {
    return this.#pending.get(id, now);
  }

  /** What is kept, what was decided, and how much of each adapter is in use. */
  report(): LearnerReport {
    const adapters = this.lora.config.modules.map(({ module }) => [module, capacityOf(this.lora.adapterOf(module))]);
    return {
      ...this.#updates.safeguards.report(),
      updates: this.lora.adaptationCount,
      pending: { count: this.#pending.count, bytes: this.#pending.bytes },
      capacity: Object.fromEntries(adapters),
      modules: this.#modules.report(),
      sessions: this.#sessions.report(),
    };
  }

  /** A copy of everything that a restart must bring back; what `undo` remembers is not. */
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

  /** Frees the MicroLora and with it everything else. */
  [Symbol.dispose](): void {
    this.lora[Symbol.dispose]();
  }

  /** A request as it is kept, sharing nothing with the caller. */
  #pendingOf(id: string, request: Request, noise: Float32Array | null): Omit<PendingRequest, "at"> {
    const { module, x, base, gate } = this.#kept(request);
    const { session = null, latencyMicroseconds = null } = request;
    checkAllFinite(x, "x");
    checkAllFinite(base, "output");
    return { id, session, latencyMicroseconds, module, x: x.slice(), base: base.slice(), gate, noise };
  }

  /** The module of a request, its input, and its output without the adapter's delta, in an array that the next call writes anew. */
  #kept(request: Request): KeptRequest {
    const module = this.#moduleOf(request);
    const { x, output, gate = 1, latencyMicroseconds } = request;
    checkLatency(latencyMicroseconds);
    checkRange(gate, 0, 1, "gate");
    const adapter = this.lora.adapterOf(module);
    checkFloats(x, adapter.inFeatures, "x");
    let base = this.#bases.get(module);
    if (base === undefined) {
      base = this.lora.allocate(adapter.outFeatures);
      this.#bases.set(module, base);
    }
    base.fill(0);
    if (output === undefined) return { module, x, base, gate };
    checkFloats(output, adapter.outFeatures, "output");
    if (this.lora.enabled) adapter.forwardAdd(x, base);
    for (let i = 0; i < base.length; i++) base[i] = output[i]! - gate * base[i]!;
    return { module, x, base, gate };
  }

  #moduleOf(request: Request): string {
    if (typeof request !== "object" || request === null) {
      throw new MicroLoraError("unknown-request", "request", `is ${shown(request)}`, "Pass { x, output }");
    }
    const { modules } = this.lora.config;
    return request.module ?? (modules.length === 1 ? modules[0]!.module : "");
  }
}
