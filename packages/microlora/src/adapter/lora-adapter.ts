import { checkAllFinite, checkFloats, checkRange } from "../base/check.js";
import { refusal } from "../base/errors.js";
import { streamOf } from "../base/random.js";
import type { Arena } from "../kernels/arena.js";
import type { AdapterKernels, Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";
import { AdapterBlocks, type LearningBlock } from "./blocks.js";
import { dropout } from "./dropout.js";
import { initialA } from "./initial.js";
import { AdapterLearning, type LearningState } from "./learning.js";
import { type MergeTarget, merge } from "./merge.js";
import { lengthsOf } from "./methods/method.js";
import { placePenalty } from "./penalty.js";
import { refuseInput } from "./refuse-input.js";
import { type AdapterSpec, scalingOf, shapeOf } from "./spec.js";
import { type ForwardToken, TokenRing } from "./token.js";
import { checkWholeGradient, type WholeGradient } from "./whole-gradient.js";

/** What an adapter holds beside its spec; learning blocks have the layout [A, B, bias], and are absent if never used. */
export interface AdapterState extends LearningState {
  /** Name of the module. */
  readonly module: string;
  /** [rank, inFeatures] */
  readonly loraA: Float32Array;
  /** [rank, outFeatures] */
  readonly loraB: Float32Array;
  /** [outFeatures] */
  readonly bias?: Float32Array;
}

/** How a forward pass is done. */
export interface ForwardOptions {
  /** Applies dropout, with the mask of the adapter's current step. */
  readonly training?: boolean;
}

/**
 * One LoRA adapter, y = scaling * (x A) B + bias with scaling = alpha / rank (Hu et al. 2021), or alpha / sqrt(rank)
 * (rsLoRA, Kalajdzievski 2023), and what it needs to learn. Made by `MicroLora.create`, reached by `getAdapter`.
 */
export class LoraAdapter {
  /** The settings that this adapter was made with. */
  readonly spec: AdapterSpec;
  /** The factor of A B: alpha / rank, or alpha / sqrt(rank) with `rsLora`. */
  readonly scaling: number;
  /** @internal */
  readonly runtime: Runtime;
  /** @internal The same object for adapters of one shape in one runtime. */
  readonly kernels: AdapterKernels;
  readonly #arena: Arena;
  readonly #blocks: AdapterBlocks;
  readonly #learning: AdapterLearning;
  readonly #stream: number;
  #tokens: TokenRing | undefined;
  #masked: Pointer = 0;
  #disposed = false;

  /** @internal @param arena of the object that owns it @throws MicroLoraError `memory-full` */
  constructor(runtime: Runtime, arena: Arena, spec: AdapterSpec) {
    this.spec = spec;
    this.runtime = runtime;
    this.scaling = scalingOf(spec);
    this.#arena = arena;
    const shape = shapeOf(spec);
    this.kernels = runtime.kernels.forShape(shape);
    this.#blocks = new AdapterBlocks(runtime, arena, shape, lengthsOf(shape, spec.methods));
    this.#learning = new AdapterLearning(runtime, this.#blocks, spec, this.scaling);
    this.#stream = streamOf(spec.module);
    this.reset();
  }

  /** Name of the module. */
  get module(): string {
    return this.spec.module;
  }

  /** Rank of A and B. */
  get rank(): number {
    return this.spec.rank;
  }

  /** Width of the input. */
  get inFeatures(): number {
    return this.spec.inFeatures;
  }

  /** Width of the output. */
  get outFeatures(): number {
    return this.spec.outFeatures;
  }

  /** Live view of A [rank, inFeatures]; what is written to it is used at once, and must be finite. */
  get loraA(): Float32Array {
    return this.#live().lendParameters(0, this.rank * this.inFeatures);
  }

  /** Live view of B [rank, outFeatures]. */
  get loraB(): Float32Array {
    return this.#live().lendParameters(this.rank * this.inFeatures, this.rank * this.outFeatures);
  }

  /** Live view of the bias [outFeatures], if the adapter has one. */
  get bias(): Float32Array | undefined {
    const blocks = this.#live();
    if (!this.spec.bias) return undefined;
    return blocks.lendParameters(this.rank * (this.inFeatures + this.outFeatures), this.outFeatures);
  }

  /** @internal Where A, B and the bias lie; a bias that the adapter does not have is at 0. */
  get pointers(): { readonly loraA: Pointer; readonly loraB: Pointer; readonly bias: Pointer } {
    const { parameters } = this.#live();
    const loraB = parameters + 4 * this.rank * this.inFeatures;
    return { loraA: parameters, loraB, bias: this.spec.bias ? loraB + 4 * this.rank * this.outFeatures : 0 };
  }

  /** Number of parameters: A, B and the bias. */
  get paramCount(): number {
    return this.#blocks.length;
  }

  /** Bytes of the parameters. */
  get memoryBytes(): number {
    return 4 * this.#blocks.length;
  }

  /** Number of gradients accumulated and not yet applied. */
  get pendingUpdates(): number {
    return this.#learning.pendingUpdates;
  }

  /** Number of examples learned from; names the dropout mask. */
  get step(): number {
    return this.#learning.step;
  }

  /**
   * The delta scaling * (x A) B + bias.
   * @param x [inFeatures]
   * @returns a new array [outFeatures]
   * @throws MicroLoraError `shape-mismatch`, `not-finite`, `disposed`
   */
  forward(x: Float32Array, options: ForwardOptions = {}): Float32Array {
    const { parameters, u } = this.#live();
    const input = this.#place(x, options.training === true);
    const output = this.runtime.scratch.output.reserve(this.outFeatures);
    if (this.kernels.forward(parameters, input, u, output, this.scaling) === 0) refuseInput(x);
    return this.runtime.f32.slice(output >>> 2, (output >>> 2) + this.outFeatures);
  }

  /**
   * Adds the delta to `output`; nothing is allocated.
   * @param x [inFeatures]; @param output [outFeatures], untouched if x is refused
   * @param keep also returns the token of this pass, with which `learn` need not compute x A again
   */
  forwardAdd(x: Float32Array, output: Float32Array, keep = false): ForwardToken | undefined {
    const { parameters, u } = this.#live();
    checkFloats(output, this.outFeatures, "output");
    const input = this.#place(x, false);
    const place = this.runtime.scratch.output.place(output);
    if (this.kernels.forwardAdd(parameters, input, u, place, this.scaling) === 0) refuseInput(x);
    this.runtime.scratch.output.giveBack(output, place);
    if (!keep) return undefined;
    this.#tokens ??= new TokenRing(this.rank);
    return this.#tokens.keep(this.runtime, input, this.inFeatures, u, this.#learning.version);
  }

  /**
   * The deltas of a batch.
   * @param x [rows, inFeatures], row after row; @param output [rows, outFeatures], overwritten; a new array by default
   */
  forwardBatch(x: Float32Array, output?: Float32Array): Float32Array {
    const { parameters } = this.#live();
    const rows = Math.floor(x.length / this.inFeatures);
    checkFloats(x, rows * this.inFeatures, "x");
    if (output !== undefined) checkFloats(output, rows * this.outFeatures, "output");
    const { f32, scratch } = this.runtime;
    this.runtime.reserveScratch({
      input: scratch.input.find(x) === 0 ? x.length : 0,
      intermediate: rows * this.rank,
      output: output !== undefined && scratch.output.find(output) !== 0 ? 0 : rows * this.outFeatures,
    });
    const input = scratch.input.place(x);
    const u = scratch.intermediate.reserve(rows * this.rank);
    const found = output === undefined ? 0 : scratch.output.find(output);
    const y = found === 0 ? scratch.output.reserve(rows * this.outFeatures) : found;
    const refused = this.kernels.forwardBatch(parameters, input, u, y, rows, this.scaling);
    if (refused !== -1) refuseInput(x, refused, this.inFeatures);
    if (output === undefined) return f32.slice(y >>> 2, (y >>> 2) + rows * this.outFeatures);
    scratch.output.giveBack(output, y);
    return output;
  }

  /**
   * Adds reward * dLoss/dw of one example to the pending gradients.
   * @param input [inFeatures]; @param gradOutput dLoss/dOutput [outFeatures]; @param reward in [-1, 1]
   * @throws MicroLoraError `shape-mismatch`, `not-finite`, `out-of-range`, `update-overflow`; nothing has changed then
   */
  accumulateGradient(input: Float32Array, gradOutput: Float32Array, reward = 1): void {
    checkRange(reward, -1, 1, "reward");
    this.measureExample(input, gradOutput);
    this.#learning.allowAccumulation(reward);
    this.#learning.accumulate(reward);
  }

  /**
   * Adds a whole gradient to the pending ones, as one example that comes from elsewhere: a graph, an autograd.
   * @throws MicroLoraError `shape-mismatch`, `not-finite`, `update-overflow`, `memory-full`, `invalid-config` for an EWC method that
   * has to see the example's input; nothing has changed then
   */
  accumulate(gradient: WholeGradient): void {
    const checked = checkWholeGradient(gradient, this.spec);
    this.learning.allowWhole(checked);
    this.learning.accumulateWhole(checked);
  }

  /** w <- w - learningRate * mean of the pending gradients, which it clears; does nothing if there are none. */
  applyGradients(learningRate: number): void {
    this.learning.allowUpdate(learningRate);
    this.learning.update(true);
  }

  /**
   * As `applyGradients`, with learningRate * ewcLambda * fisher * (w - optimal) beside it (EWC, Kirkpatrick et al.
   * 2017, the gradient of eq. 3). A bias without a Fisher of its own is not penalised.
   * @param fisherA,optimalA [rank, inFeatures]; @param fisherB,optimalB [rank, outFeatures]
   * @param fisherBias,optimalBias [outFeatures]
   */
  applyGradientsWithEwc(
    learningRate: number,
    fisherA: Float32Array,
    fisherB: Float32Array,
    optimalA: Float32Array,
    optimalB: Float32Array,
    ewcLambda: number,
    fisherBias?: Float32Array,
    optimalBias?: Float32Array,
  ): void {
    const parts = { fisherA, fisherB, fisherBias, optimalA, optimalB, optimalBias };
    const penalty = placePenalty(this.runtime, this.spec, parts, ewcLambda);
    this.learning.allowUpdate(learningRate, penalty);
    this.learning.update(true, penalty);
  }

  /** Back to the initial state, bit for bit: weights, learning state, pending gradients and counters. */
  reset(): void {
    const { parameters, length } = this.#live();
    const { seed, init, rank, inFeatures } = this.spec;
    this.runtime.f32.fill(0, parameters >>> 2, (parameters >>> 2) + length);
    initialA[init](this.runtime.view(parameters, rank * inFeatures), rank, inFeatures, seed, this.#stream);
    this.#learning.reset();
  }

  /**
   * Adds scaling * A B to base weights, for serving without an adapter.
   * @param weights [in, out] for layout `in-out`, [out, in] for `out-in`; changed in place
   * @throws MicroLoraError; the weights are untouched then
   */
  mergeInto(weights: Float32Array, target: MergeTarget): void {
    this.#live();
    merge(this, weights, target, 1);
  }

  /** Takes `mergeInto` back, within rounding. */
  unmergeFrom(weights: Float32Array, target: MergeTarget): void {
    this.#live();
    merge(this, weights, target, -1);
  }

  /** Live view of a block of the learning state in the parameters' layout [A, B, bias]; undefined before its first use. */
  learningBlock(block: LearningBlock): Float32Array | undefined {
    return this.#live().lendBlock(block);
  }

  /**
   * @internal Places an example and measures it; the step that may follow is taken on `learning`.
   */
  measureExample(x: Float32Array, gradient: Float32Array, token?: ForwardToken): void {
    const { u } = this.#live();
    checkFloats(gradient, this.outFeatures, "gradient");
    const input = this.#place(x, token === undefined);
    const output = this.runtime.scratch.gradient.place(gradient);
    if (token !== undefined) {
      this.#tokens ??= new TokenRing(this.rank);
      this.#tokens.restore(token, this.runtime, input, this.inFeatures, u, this.#learning.version);
    }
    this.#learning.measure(x, gradient, input, output, token !== undefined);
  }

  /** @internal Multiplies the delta by a factor in [0, 1]. */
  shrink(factor: number): void {
    if (factor === 1) return;
    const { loraB } = this.pointers;
    const { length } = this.#blocks;
    this.runtime.kernels.apply(loraB, loraB, length - this.rank * this.inFeatures, 1 - factor);
  }

  /** @internal How it learns, for what has to change several adapters together. */
  get learning(): AdapterLearning {
    this.#live();
    return this.#learning;
  }

  /** @internal The parameter block, for a kernel call that serves rows of this adapter and of `other`. */
  parametersFor(other: LoraAdapter): Pointer {
    const { parameters } = this.#live();
    if (this.kernels === other.kernels) return parameters;
    const shapeOfThis = `rank ${this.rank}, ${this.inFeatures} to ${this.outFeatures}`;
    throw refusal(
      "shape-mismatch",
      "adapters",
      `one of ${shapeOfThis} does not go with rank ${other.rank}, ${other.inFeatures} to ${other.outFeatures}`,
      "Put adapters of one shape and one runtime into a batch, all of them with a bias or none",
    );
  }

  /** @internal A copy of everything that a restart must bring back. */
  exportState(): AdapterState {
    const { f32 } = this.runtime;
    const { parameters, length } = this.#live();
    const [a, b] = [this.rank * this.inFeatures, this.rank * this.outFeatures];
    const part = (from: number, to: number) => f32.slice((parameters >>> 2) + from, (parameters >>> 2) + to);
    const bias = this.spec.bias && { bias: part(a + b, length) };
    return { module: this.module, loraA: part(0, a), loraB: part(a, a + b), ...bias, ...this.#learning.exportState() };
  }

  /** @internal Makes room for a state, so that `restoreState` cannot fail. @throws MicroLoraError `memory-full` */
  reserveState(state: AdapterState): void {
    this.learning.reserveState(state);
  }

  /**
   * @internal Takes a checked state of an adapter of the same spec.
   * @param keepsPenalty leaves Fisher information and anchor as they are
   * @throws MicroLoraError `memory-full`, before anything has changed
   */
  restoreState(state: AdapterState, keepsPenalty = false): void {
    const { parameters } = this.#live();
    this.reserveState(state);
    let at = parameters >>> 2;
    for (const part of [state.loraA, state.loraB, state.bias]) {
      if (part === undefined) continue;
      this.runtime.f32.set(part, at);
      at += part.length;
    }
    this.learning.restore(state, keepsPenalty);
  }

  /** @internal Frees the adapter's memory; any use after that is refused. */
  close(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#blocks.free();
    this.#arena.free(this.#masked);
  }

  #live(): AdapterBlocks {
    if (this.#disposed) {
      throw refusal("disposed", this.module, "the adapter was closed", "Create or load it again");
    }
    return this.#blocks;
  }

  #place(x: Float32Array, training: boolean): Pointer {
    checkFloats(x, this.inFeatures, "x");
    if (!training || this.spec.dropout === 0) return this.runtime.scratch.input.place(x);
    checkAllFinite(x, "x");
    if (this.#masked === 0) this.#masked = this.#arena.allocate(this.inFeatures);
    const masked = this.runtime.view(this.#masked, this.inFeatures);
    dropout(x, masked, this.spec.dropout, this.spec.seed, this.#stream, this.step);
    return this.#masked;
  }
}
