import { checkCount, checkObject } from "../base/check.js";
import { refusal, shown } from "../base/errors.js";
import type { Arena } from "../kernels/arena.js";
import type { KernelsName } from "../kernels/contract.js";
import { checkRuntime, type Runtime, sharedRuntime } from "../kernels/runtime.js";
import { type BaseModelOptions, checkBase } from "./base-model.js";
import { checkState, decodeState, encodeState, type MicroLoraState } from "./codec.js";
import { adapterSpecs, type MicroLoraConfig, type ResolvedConfig, resolveConfig } from "./config.js";
import { checkEwcStates, type EwcState } from "./ewc-state.js";
import { type GradientFeedback, gradientOf, type LearnResult, NOTHING } from "./feedback.js";
import { type AdapterState, type ForwardOptions, LoraAdapter } from "./lora-adapter.js";
import type { MergeTarget } from "./merge.js";
import { type Method, type Methods, resolveMethods } from "./methods/method.js";
import type { Penalty } from "./penalty.js";
import { type ForwardToken, refuseToken } from "./token.js";

/** How a saved state is loaded. */
export interface LoadOptions extends BaseModelOptions {
  /** Memory and kernels to live in; shared by all that name none. */
  readonly runtime?: Runtime;
  /** Forces the kernels of the shared runtime. */
  readonly kernels?: KernelsName;
  /** The code of the methods that the state was learned with, where they are not built in: `[adamw()]`, or `METHODS` for all. */
  readonly methods?: readonly Method[];
}

/** How a saved state is loaded at once. */
export type SyncLoadOptions = LoadOptions & { readonly runtime: Runtime };

/** The adapters of one model and one user: forward, learning from gradients, and everything that survives a restart. */
export class MicroLora {
  /** The configuration with every default filled in. */
  readonly config: ResolvedConfig;
  /** The memory and the kernels that the adapters live on. */
  readonly runtime: Runtime;
  /** Whether adapters act and learn; true by default. */
  enabled = true;
  readonly #arena: Arena;
  readonly #adapters = new Map<string, LoraAdapter>();
  #adaptationCount = 0;
  #forwardCount = 0;
  #closed = false;

  private constructor(config: ResolvedConfig, runtime: Runtime, methods: Methods) {
    this.config = config;
    this.runtime = runtime;
    this.#arena = runtime.arena(this);
    try {
      for (const spec of adapterSpecs(config, methods)) {
        this.#adapters.set(spec.module, new LoraAdapter(runtime, this.#arena, spec));
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /**
   * Makes fresh adapters, which change nothing yet.
   * @throws MicroLoraError `invalid-config`, `memory-full`, `kernels-unavailable`
   */
  static async create(config: MicroLoraConfig): Promise<MicroLora> {
    checkObject(config, "config");
    const runtime = config.runtime ?? (await sharedRuntime(config.kernels));
    return MicroLora.createSync({ ...config, runtime });
  }

  /** As `create`, at once, in a runtime that is there. */
  static createSync(config: MicroLoraConfig & { readonly runtime: Runtime }): MicroLora {
    const resolved = resolveConfig(config);
    checkRuntime(config.runtime);
    const { optimizer, ewc, schedule } = config.learning ?? {};
    return new MicroLora(resolved, config.runtime, resolveMethods(resolved.learning, [optimizer, ewc, schedule]));
  }

  /** A copy in the state that `exportState` gave. @throws MicroLoraError `corrupt-checkpoint`, `wrong-base`, `memory-full` */
  static async fromState(state: MicroLoraState, options: LoadOptions = {}): Promise<MicroLora> {
    return MicroLora.fromStateSync(state, { ...options, runtime: await runtimeOf(options) });
  }

  /** As `fromState`, at once, in a runtime that is there. */
  static fromStateSync(state: MicroLoraState, options: SyncLoadOptions): MicroLora {
    checkState(state, options.methods);
    return MicroLora.restored(state, options);
  }

  /** What `toBytes` wrote, checked in full before anything is built. @throws MicroLoraError */
  static async fromBytes(bytes: Uint8Array, options: LoadOptions = {}): Promise<MicroLora> {
    return MicroLora.fromBytesSync(bytes, { ...options, runtime: await runtimeOf(options) });
  }

  /** As `fromBytes`, at once, in a runtime that is there. */
  static fromBytesSync(bytes: Uint8Array, options: SyncLoadOptions): MicroLora {
    return MicroLora.restored(decodeState(bytes, options.methods), options);
  }

  /** @internal A copy in a state that was checked. @throws MicroLoraError `wrong-base`, `memory-full` */
  static restored(state: MicroLoraState, options: SyncLoadOptions): MicroLora {
    checkRuntime(options.runtime);
    checkBase(state.config.baseModel, options);
    const methods = resolveMethods(state.config.learning, options.methods ?? []);
    const lora = new MicroLora(state.config, options.runtime, methods);
    try {
      lora.restoreAdapters(state.adapters);
    } catch (error) {
      lora.close();
      throw error;
    }
    lora.enabled = state.enabled;
    lora.#adaptationCount = state.adaptationCount;
    lora.#forwardCount = state.forwardCount;
    return lora;
  }

  /** Number of `learn` and `adapt` calls that took effect. */
  get adaptationCount(): number {
    return this.#adaptationCount;
  }

  /** Number of `forward` and `forwardAdd` calls that took effect. */
  get forwardCount(): number {
    return this.#forwardCount;
  }

  /** Number of parameters of all modules. */
  get paramCount(): number {
    return this.#sum((adapter) => adapter.paramCount);
  }

  /** Bytes of the parameters of all modules. */
  get memoryBytes(): number {
    return this.#sum((adapter) => adapter.memoryBytes);
  }

  /** The adapter of a module; undefined if it has none. */
  getAdapter(module: string): LoraAdapter | undefined {
    return this.#adapters.get(module);
  }

  /** A zeroed buffer in the adapters' memory, which calls take without copying; freed with this object. */
  allocate(length: number): Float32Array {
    this.#checkLive();
    checkCount(length, 2 ** 30, "length");
    const pointer = this.#arena.allocate(length);
    return this.#arena.lend(pointer, pointer, length);
  }

  /**
   * The delta of a module, scaling * (x A) B + bias; zeros while disabled.
   * @param x [inFeatures]
   * @returns a new array [outFeatures]
   * @throws MicroLoraError `unknown-module`, `shape-mismatch`, `not-finite`, `disposed`
   */
  forward(x: Float32Array, module: string, options?: ForwardOptions): Float32Array {
    const adapter = this.adapterOf(module);
    if (!this.enabled) return new Float32Array(adapter.outFeatures);
    const delta = adapter.forward(x, options);
    this.#forwardCount++;
    return delta;
  }

  /**
   * Adds the delta of a module to `output`; nothing is added while disabled, and nothing allocated.
   * @param x [inFeatures]; @param output [outFeatures], untouched if anything is refused
   * @param options keep: return a token, with which `learn` need not compute x A again
   */
  forwardAdd(
    x: Float32Array,
    module: string,
    output: Float32Array,
    options: { readonly keep: true },
  ): ForwardToken | undefined;
  /** Adds the delta of a module to `output` [outFeatures], without a token for `learn`. */
  forwardAdd(x: Float32Array, module: string, output: Float32Array, options?: { readonly keep?: boolean }): undefined;
  forwardAdd(
    x: Float32Array,
    module: string,
    output: Float32Array,
    options?: { readonly keep?: boolean },
  ): ForwardToken | undefined {
    const adapter = this.adapterOf(module);
    if (!this.enabled) return undefined;
    const token = adapter.forwardAdd(x, output, options?.keep);
    this.#forwardCount++;
    return token;
  }

  /**
   * One request from gradient to updated weights: w <- w - learningRate * (reward * g + ewcLambda * fisher * (w - anchor)),
   * with g the exact gradient of each factor (EWC: Kirkpatrick et al. 2017, eq. 3; online Fisher: Schwarz et al. 2018).
   * The pull learningRate * ewcLambda * fisher counts as 1 where it is more, so that no step overshoots the anchor.
   * @param x [inFeatures]
   * @param feedback module: the one that the gradient belongs to; all of them by default
   * @param options token: of the `forwardAdd` that this gradient belongs to
   * @throws MicroLoraError `nothing-to-learn-from`, `shape-mismatch`, `not-finite`, `out-of-range`, `stale-token`,
   * `update-overflow`, `unknown-module`, `memory-full`; nothing has changed then
   */
  learn(
    x: Float32Array,
    feedback: GradientFeedback & { readonly module?: string },
    options?: { readonly token?: ForwardToken | undefined },
  ): LearnResult {
    const gradient = gradientOf(feedback);
    const { reward = 1, module } = feedback;
    if (module === undefined) return this.#learnInAll(x, gradient, reward, options?.token);
    const adapter = this.adapterOf(module);
    if (!this.enabled) return { ...NOTHING, reason: "disabled" };
    adapter.measureExample(x, gradient, options?.token);
    adapter.learning.allowStep(reward);
    this.takeStep(adapter);
    return appliedWith(adapter.learning.gradientNorm);
  }

  /** Ends a task: the running Fisher information joins the frozen one, and the penalty pulls to the weights of now. */
  consolidate(): void {
    this.reserveConsolidation();
    for (const adapter of this.#adapters.values()) adapter.learning.consolidate();
  }

  /**
   * Accumulates the gradient of one request in its module, or in all; `applyUpdates` applies it.
   * @throws MicroLoraError as `learn`; nothing has changed then
   */
  adapt(x: Float32Array, feedback: GradientFeedback & { readonly module?: string }): void {
    this.#checkLive();
    const gradient = gradientOf(feedback);
    const adapters = feedback.module === undefined ? [...this.#adapters.values()] : [this.adapterOf(feedback.module)];
    if (!this.enabled) return;
    const reward = feedback.reward ?? 1;
    for (const adapter of adapters) {
      adapter.measureExample(x, gradient);
      adapter.learning.allowAccumulation(reward);
    }
    for (const adapter of adapters) adapter.learning.accumulate(reward);
    this.#adaptationCount++;
  }

  /**
   * Ends a micro-batch: one update along the mean of the gradients accumulated, in every module that has some.
   * @param learningRate a plain step of this length, w <- w - learningRate * mean; by default as `learn` steps, with the
   * configured optimiser, schedule, clipping and EWC penalty
   */
  applyUpdates(learningRate?: number): void {
    this.#applyPending(learningRate, new Map());
  }

  /**
   * As `applyUpdates`, under the penalty ewcLambda * fisher * (w - optimal) in the modules that `ewc` has.
   * @throws MicroLoraError `invalid-argument` where `ewc` is not a map; nothing has changed then
   */
  applyUpdatesWithEwc(learningRate: number, ewc: ReadonlyMap<string, EwcState>, ewcLambda: number): void {
    const penalties = new Map<string, Penalty>();
    for (const [module, state] of checkEwcStates(ewc)) {
      penalties.set(module, state.penaltyFor(this.adapterOf(module), ewcLambda));
    }
    this.#applyPending(learningRate, penalties);
  }

  /** Adds scaling * A B of a module to its base weights; see `LoraAdapter.mergeInto`. */
  mergeIntoBase(module: string, weights: Float32Array, target: MergeTarget): void {
    this.adapterOf(module).mergeInto(weights, target);
  }

  /** Every module back to its initial state, bit for bit, and the counters to zero. */
  reset(): void {
    this.#checkLive();
    for (const adapter of this.#adapters.values()) adapter.reset();
    this.#adaptationCount = 0;
    this.#forwardCount = 0;
  }

  /** A copy of everything that a restart must bring back. */
  exportState(): MicroLoraState {
    this.#checkLive();
    return {
      config: this.config,
      kernels: this.runtime.kernels.name,
      enabled: this.enabled,
      adaptationCount: this.#adaptationCount,
      forwardCount: this.#forwardCount,
      adapters: [...this.#adapters.values()].map((adapter) => adapter.exportState()),
    };
  }

  /** The state as a file: canonical, versioned, checksummed. */
  toBytes(): Uint8Array {
    return encodeState(this.exportState());
  }

  /**
   * Frees the memory of the adapters and of the buffers allocated; any use after that is refused. Views of them show NaN from then on. An
   * object that is forgotten without this is closed when it is collected.
   */
  close(): void {
    this.#closed = true;
    for (const adapter of this.#adapters.values()) adapter.close();
    this.#arena.close();
  }

  /** As `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** @internal */
  adapterOf(module: string): LoraAdapter {
    this.#checkLive();
    const adapter = this.#adapters.get(module);
    if (adapter !== undefined) return adapter;
    const problem = `${shown(module)} has no adapter; there are ${[...this.#adapters.keys()].join(", ")}`;
    throw refusal("unknown-module", "module", problem, "Name it in targetModules");
  }

  /** @internal Takes the step that one of its adapters has measured and allowed. */
  takeStep(adapter: LoraAdapter): void {
    adapter.learning.takeStep();
    this.#adaptationCount++;
  }

  /** @internal Allows or refuses `applyUpdates`. @throws MicroLoraError */
  allowUpdates(learningRate?: number): void {
    for (const adapter of this.#adapters.values()) adapter.learning.allowUpdate(learningRate);
  }

  /** @internal Makes room for `consolidate`. @throws MicroLoraError `update-overflow`, `memory-full` */
  reserveConsolidation(): void {
    this.#checkLive();
    for (const adapter of this.#adapters.values()) adapter.learning.allowConsolidation();
  }

  /** @internal Makes room for a step in any module. @throws MicroLoraError `memory-full` */
  reserveSteps(): void {
    for (const adapter of this.#adapters.values()) adapter.learning.reserveStep();
  }

  /**
   * @internal Checked states of its adapters in their places, all of them or none.
   * @param keepsPenalty leaves Fisher information and anchors as they are
   * @throws MicroLoraError `memory-full`, before anything has changed
   */
  restoreAdapters(states: readonly AdapterState[], keepsPenalty = false): void {
    for (const state of states) this.adapterOf(state.module).reserveState(state);
    for (const state of states) this.adapterOf(state.module).restoreState(state, keepsPenalty);
  }

  /** @internal Several changes as one: where one is refused, none has happened. @throws what `change` does */
  together<T>(change: () => T): T {
    const before = [...this.#adapters.values()].map((adapter) => adapter.exportState());
    const count = this.#adaptationCount;
    try {
      return change();
    } catch (error) {
      this.restoreAdapters(before);
      this.#adaptationCount = count;
      throw error;
    }
  }

  /** All modules are measured and allowed before the first of them is written. */
  #learnInAll(x: Float32Array, gradient: Float32Array, reward: number, token: ForwardToken | undefined): LearnResult {
    this.#checkLive();
    if (token !== undefined) refuseToken("goes with one module, but the feedback names none");
    if (!this.enabled) return { ...NOTHING, reason: "disabled" };
    let squares = 0;
    for (const adapter of this.#adapters.values()) {
      adapter.measureExample(x, gradient);
      adapter.learning.allowStep(reward);
      squares += adapter.learning.gradientNorm ** 2;
    }
    for (const adapter of this.#adapters.values()) adapter.learning.takeStep();
    this.#adaptationCount++;
    return appliedWith(Math.sqrt(squares));
  }

  /** All modules are allowed before the first of them is written. */
  #applyPending(learningRate: number | undefined, penalties: ReadonlyMap<string, Penalty>): void {
    this.#checkLive();
    const plain = learningRate !== undefined;
    for (const [module, adapter] of this.#adapters) adapter.learning.allowUpdate(learningRate, penalties.get(module));
    for (const [module, adapter] of this.#adapters) adapter.learning.update(plain, penalties.get(module));
  }

  #checkLive(): void {
    if (this.#closed) throw refusal("disposed", "adapters", "were closed", "Create or load them again");
  }

  #sum(of: (adapter: LoraAdapter) => number): number {
    let sum = 0;
    for (const adapter of this.#adapters.values()) sum += of(adapter);
    return sum;
  }
}

function appliedWith(gradientNorm: number): LearnResult {
  return { applied: true, reason: null, loss: null, gradientNorm, boundary: false, rolledBack: false };
}

/** The runtime of load options. @throws MicroLoraError `invalid-config`, `kernels-unavailable` */
export async function runtimeOf(options: LoadOptions): Promise<Runtime> {
  checkObject(options, "options");
  return options.runtime ?? sharedRuntime(options.kernels);
}
