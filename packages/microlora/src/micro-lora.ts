import { adapterSpecs, type MicroLoraConfig, type ResolvedConfig, resolveConfig } from "./adapter/config.js";
import { type ForwardOptions, LoraAdapter } from "./adapter/lora-adapter.js";
import type { MergeTarget } from "./adapter/merge.js";
import { type Method, type Methods, prepareMethods, resolveMethods } from "./adapter/methods.js";
import type { Penalty } from "./adapter/penalty.js";
import { type ForwardToken, refuseToken } from "./adapter/token.js";
import { checkCount } from "./base/check.js";
import { MicroLoraError } from "./base/errors.js";
import { type BaseModelOptions, checkBase } from "./checkpoint/base-model.js";
import { checkState, decodeState, encodeState, type MicroLoraState } from "./checkpoint/state.js";
import type { KernelsName, Pointer } from "./kernels/contract.js";
import { type Runtime, sharedRuntime } from "./kernels/runtime.js";
import type { EwcState } from "./learn/ewc-state.js";
import { type Feedback, gradientOf, type LearnResult } from "./learn/feedback.js";

export interface LoadOptions extends BaseModelOptions {
  readonly runtime?: Runtime;
  readonly kernels?: KernelsName;
  /** The code of what the checkpoint learned with, where it is not built in: `[adamw()]`, or `METHODS` for all of them. */
  readonly methods?: readonly Method[];
}

/** The adapters of one model and one user: forward, learning from feedback, and everything that survives a restart. */
export class MicroLora {
  readonly config: ResolvedConfig;
  /** The memory and the kernels that the adapters live on. */
  readonly runtime: Runtime;
  /** Whether adapters act and learn. */
  enabled = true;
  readonly #adapters = new Map<string, LoraAdapter>();
  readonly #buffers: Pointer[] = [];
  readonly #result: LearnResult = { applied: false, reason: null, gradientNorm: 0 };
  #adaptationCount = 0;
  #forwardCount = 0;
  #disposed = false;

  private constructor(config: ResolvedConfig, runtime: Runtime, methods: Methods) {
    this.config = config;
    this.runtime = runtime;
    try {
      for (const spec of adapterSpecs(config, methods)) this.#adapters.set(spec.module, new LoraAdapter(runtime, spec));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** @throws MicroLoraError `invalid-config`, `memory-full`, `kernels-unavailable` */
  static async create(config: MicroLoraConfig): Promise<MicroLora> {
    const resolved = resolveConfig(config);
    const { optimizer, ewc, schedule } = config.learning ?? {};
    const methods = resolveMethods(resolved.learning, [optimizer, ewc, schedule]);
    const runtime = config.runtime ?? (await sharedRuntime(config.kernels));
    await prepareMethods(methods, runtime);
    return new MicroLora(resolved, runtime, methods);
  }

  /** A copy in the state that `exportState` gave. @throws MicroLoraError `corrupt-checkpoint`, `wrong-base` */
  static async fromState(state: MicroLoraState, options: LoadOptions = {}): Promise<MicroLora> {
    const methods = checkState(state, options.methods);
    checkBase(state.config.baseModel, options);
    const runtime = options.runtime ?? (await sharedRuntime(options.kernels));
    await prepareMethods(methods, runtime);
    const lora = new MicroLora(state.config, runtime, methods);
    try {
      for (const adapter of state.adapters) lora.adapterOf(adapter.module).restoreState(adapter);
    } catch (error) {
      lora[Symbol.dispose]();
      throw error;
    }
    lora.enabled = state.enabled;
    lora.#adaptationCount = state.adaptationCount;
    lora.#forwardCount = state.forwardCount;
    return lora;
  }

  /** What `toBytes` wrote, checked in full before anything is built. @throws MicroLoraError */
  static async fromBytes(bytes: Uint8Array, options: LoadOptions = {}): Promise<MicroLora> {
    return MicroLora.fromState(decodeState(bytes, options.methods), options);
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
    const pointer = this.runtime.allocate(length);
    this.#buffers.push(pointer);
    return this.runtime.view(pointer, length);
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
   * @param x [inFeatures]; @param options token: of the `forwardAdd` that this gradient belongs to
   * @returns one object that every call writes anew
   * @throws MicroLoraError `nothing-to-learn-from`, `shape-mismatch`, `not-finite`, `out-of-range`, `stale-token`,
   * `update-overflow`, `unknown-module`; nothing has changed then
   */
  learn(
    x: Float32Array,
    feedback: Feedback,
    options?: { readonly token?: ForwardToken | undefined },
  ): Readonly<LearnResult> {
    const gradient = gradientOf(feedback);
    const reward = feedback.reward ?? 1;
    const result = this.#result;
    result.applied = false;
    result.reason = "disabled";
    result.gradientNorm = 0;
    if (feedback.module !== undefined) {
      const adapter = this.adapterOf(feedback.module);
      if (!this.enabled) return result;
      adapter.measureExample(x, gradient, options?.token);
      adapter.learning.allowStep(reward);
      adapter.learning.takeStep();
      result.gradientNorm = adapter.learning.gradientNorm;
    } else {
      this.#checkLive();
      if (options?.token !== undefined) refuseToken("goes with one module, but the feedback names none");
      if (!this.enabled) return result;
      result.gradientNorm = this.#learnAll(x, gradient, reward);
    }
    this.#adaptationCount++;
    result.applied = true;
    result.reason = null;
    return result;
  }

  /** Ends a task: the running Fisher information joins the frozen one, and the penalty pulls to the weights of now. */
  consolidate(): void {
    for (const adapter of this.#adapters.values()) adapter.learning.allowConsolidation();
    for (const adapter of this.#adapters.values()) adapter.learning.consolidate();
  }

  /**
   * Accumulates the gradient of one request in its module, or in all; `applyUpdates` applies it.
   * @throws MicroLoraError as `learn`; nothing has changed then
   */
  adapt(x: Float32Array, feedback: Feedback): void {
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

  /** As `applyUpdates`, under the penalty ewcLambda * fisher * (w - optimal) in the modules that `ewc` has. */
  applyUpdatesWithEwc(learningRate: number, ewc: ReadonlyMap<string, EwcState>, ewcLambda: number): void {
    const penalties = new Map<string, Penalty>();
    for (const [module, state] of ewc) penalties.set(module, state.penaltyFor(this.adapterOf(module), ewcLambda));
    this.#applyPending(learningRate, penalties);
  }

  /** Adds scaling * A B of a module to its base weights; see `LoraAdapter.mergeInto`. */
  mergeIntoBase(module: string, weights: Float32Array, target: MergeTarget): void {
    this.adapterOf(module).mergeInto(weights, target);
  }

  /** Every module back to its initial state, bit for bit, and the counters to zero. */
  reset(): void {
    for (const adapter of this.#adapters.values()) adapter.reset();
    this.#adaptationCount = 0;
    this.#forwardCount = 0;
  }

  /** A copy of everything that a restart must bring back. */
  exportState(): MicroLoraState {
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

  /** Frees the memory of the adapters and of the buffers allocated; any use after that is refused. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const adapter of this.#adapters.values()) adapter[Symbol.dispose]();
    for (const pointer of this.#buffers.splice(0)) this.runtime.free(pointer);
  }

  /** @internal */
  adapterOf(module: string): LoraAdapter {
    this.#checkLive();
    const adapter = this.#adapters.get(module);
    if (adapter !== undefined) return adapter;
    throw new MicroLoraError(
      "unknown-module",
      "module",
      `${module} has no adapter; there are ${[...this.#adapters.keys()].join(", ")}`,
      "Name it in targetModules",
    );
  }

  /** All modules are measured and allowed before the first of them is written. */
  #learnAll(x: Float32Array, gradient: Float32Array, reward: number): number {
    let squares = 0;
    for (const adapter of this.#adapters.values()) {
      adapter.measureExample(x, gradient);
      adapter.learning.allowStep(reward);
      squares += adapter.learning.gradientNorm ** 2;
    }
    for (const adapter of this.#adapters.values()) adapter.learning.takeStep();
    return Math.sqrt(squares);
  }

  /** All modules are allowed before the first of them is written. */
  #applyPending(learningRate: number | undefined, penalties: ReadonlyMap<string, Penalty>): void {
    const plain = learningRate !== undefined;
    for (const [module, adapter] of this.#adapters) adapter.learning.allowUpdate(learningRate, penalties.get(module));
    for (const [module, adapter] of this.#adapters) adapter.learning.update(plain, penalties.get(module));
  }

  #checkLive(): void {
    if (this.#disposed)
      throw new MicroLoraError("disposed", "adapters", "were disposed of", "Create or load them again");
  }

  #sum(of: (adapter: LoraAdapter) => number): number {
    let sum = 0;
    for (const adapter of this.#adapters.values()) sum += of(adapter);
    return sum;
  }
}
