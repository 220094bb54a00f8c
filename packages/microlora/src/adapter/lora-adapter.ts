import { checkAllFinite, checkFloats, checkRange } from "../base/check.js";
import { MicroLoraError } from "../base/errors.js";
import { streamOf } from "../base/random.js";
import type { AdapterKernels, Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";
import { AdapterBlocks, type LearningBlock } from "./blocks.js";
import { dropout } from "./dropout.js";
import { initialA } from "./initial.js";
import { AdapterLearning, type LearningState } from "./learning.js";
import { type MergeTarget, merge } from "./merge.js";
import { lengthsOf } from "./methods.js";
import { placePenalty } from "./penalty.js";
import { refuseInput } from "./refuse-input.js";
import { type AdapterSpec, scalingOf, shapeOf } from "./spec.js";
import { type ForwardToken, TokenRing } from "./token.js";

/** What an adapter holds beside its spec; learning blocks have the layout [A, B, bias], and are absent if never used. */
export interface AdapterState extends LearningState {
  readonly module: string;
  /** [rank, inFeatures] */
  readonly loraA: Float32Array;
  /** [rank, outFeatures] */
  readonly loraB: Float32Array;
  /** [outFeatures] */
  readonly bias?: Float32Array;
}

export interface ForwardOptions {
  /** Applies dropout, with the mask of the adapter's current step. */
  readonly training?: boolean;
}

/**
 * One LoRA adapter, y = scaling * (x A) B + bias with scaling = alpha / rank (Hu et al. 2021), or alpha / sqrt(rank)
 * (rsLoRA, Kalajdzievski 2023), and what it needs to learn. Made by `MicroLora.create`, reached by `getAdapter`.
 */
export class LoraAdapter {
  readonly spec: AdapterSpec;
  readonly scaling: number;
  /** @internal */
  readonly runtime: Runtime;
  /** @internal The same object for adapters of one shape in one runtime. */
  readonly kernels: AdapterKernels;
  readonly #blocks: AdapterBlocks;
  readonly #learning: AdapterLearning;
  readonly #stream: number;
  #tokens: TokenRing | undefined;
  #masked: Pointer = 0;
  #disposed = false;

  /** @internal @throws MicroLoraError `memory-full` */
  constructor(runtime: Runtime, spec: AdapterSpec) {
    this.spec = spec;
    this.runtime = runtime;
    this.scaling = scalingOf(spec);
    const shape = shapeOf(spec);
    this.kernels = runtime.kernels.forShape(shape);
    this.#blocks = new AdapterBlocks(runtime, shape, lengthsOf(shape, spec.methods));
    this.#learning = new AdapterLearning(runtime, this.#blocks, spec, this.scaling);
    this.#stream = streamOf(spec.module);
    this.reset();
  }

  get module(): string {
    return this.spec.module;
  }

  get rank(): number {
    return this.spec.rank;
  }

  get inFeatures(): number {
    return this.spec.inFeatures;
  }

  get outFeatures(): number {
    return this.spec.outFeatures;
  }

  /** Live view of A [rank, inFeatures]; what is written to it is used at once, and must be finite. */
  get loraA(): Float32Array {
    return this.runtime.view(this.#live().parameters, this.rank * this.inFeatures);
  }

  /** Live view of B [rank, outFeatures]. */
  get loraB(): Float32Array {
    const { parameters } = this.#live();
    return this.runtime.view(parameters + 4 * this.rank * this.inFeatures, this.rank * this.outFeatures);
  }

  /** Live view of the bias [outFeatures], if the adapter has one. */
  get bias(): Float32Array | undefined {
    const { parameters } = this.#live();
    if (!this.spec.bias) return undefined;
    return this.runtime.view(parameters + 4 * this.rank * (this.inFeatures + this.outFeatures), this.outFeatures);
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
    initialA[init](this.loraA, rank, inFeatures, seed, this.#stream);
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
    return this.#live().view(block);
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
    throw new MicroLoraError(
      "shape-mismatch",
      "adapters",
      `one of ${shapeOfThis} does not go with rank ${other.rank}, ${other.inFeatures} to ${other.outFeatures}`,
      "Put adapters of one shape and one runtime into a batch, all of them with a bias or none",
    );
  }

  /** @internal A copy of everything that a restart must bring back. */
  exportState(): AdapterState {
    const { module, loraA, loraB, bias } = this;
    const weights = { module, loraA: loraA.slice(), loraB: loraB.slice() };
    return { ...weights, ...(bias && { bias: bias.slice() }), ...this.#learning.exportState() };
  }

  /** @internal Takes a checked state of an adapter of the same spec. */
  restoreState(state: AdapterState): void {
    this.loraA.set(state.loraA);
    this.loraB.set(state.loraB);
    if (state.bias !== undefined) this.bias?.set(state.bias);
    this.learning.restore(state);
  }

  /** Frees the adapter's memory; any use after that is refused. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#blocks.free();
    this.runtime.free(this.#masked);
  }

  #live(): AdapterBlocks {
    if (this.#disposed) {
      throw new MicroLoraError("disposed", this.module, "the adapter was disposed of", "Create or load it again");
    }
    return this.#blocks;
  }

  #place(x: Float32Array, training: boolean): Pointer {
    checkFloats(x, this.inFeatures, "x");
    if (!training || this.spec.dropout === 0) return this.runtime.scratch.input.place(x);
    checkAllFinite(x, "x");
    if (this.#masked === 0) this.#masked = this.runtime.allocate(this.inFeatures);
    const masked = this.runtime.view(this.#masked, this.inFeatures);
    dropout(x, masked, this.spec.dropout, this.spec.seed, this.#stream, this.step);
    return this.#masked;
  }
}
