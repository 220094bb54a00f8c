import { checkAllFinite, checkAllSquares, checkRange } from "../base/check.js";
import type { AdapterKernels, Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";
import { type AdapterBlocks, LEARNING_BLOCKS, type LearningBlock } from "./blocks.js";
import { checkMagnitude, Limits } from "./limits.js";
import type { AdapterSpec } from "./spec.js";

/** Root of the least float32: what is smaller may leave no trace in a sum of squares. */
const ROOT_OF_LEAST = Math.sqrt(2 ** -149);

/** Norm of the example's whole gradient. */
const NORM = 0;
/** What the rows of x and g are multiplied by at most to give the gradient. */
const FACTOR = 1;
/** How much of the norm its float32 squares may have lost. */
const LOST = 2;
/** Learning rate * reward. */
const RATE = 3;
/** Learning rate * lambda. */
const PENALTY = 4;

/** An EWC penalty whose blocks lie in the memory, in the parameters' layout. */
export interface Penalty {
  readonly fisher: Pointer;
  readonly anchor: Pointer;
  readonly ewcLambda: number;
}

/** What a restart must bring back beside the parameters. */
export interface LearningState extends Partial<Readonly<Record<LearningBlock, Float32Array>>> {
  readonly step: number;
  readonly pendingUpdates: number;
}

/**
 * How one adapter learns. Each change comes in two halves: `measure` and `allow…` write no state and may throw,
 * what follows cannot fail. So several adapters change together or not at all.
 */
export class AdapterLearning {
  readonly #runtime: Runtime;
  readonly #kernels: AdapterKernels;
  readonly #blocks: AdapterBlocks;
  readonly #spec: AdapterSpec;
  readonly #scaling: number;
  readonly #limits: Limits;
  #pendingUpdates = 0;
  #step = 0;
  #version = 0;
  // Where the example that was measured last lies.
  #x: Pointer = 0;
  #g: Pointer = 0;
  /** What is known of it, in an array, where a number that changes needs no allocation; see the constants above. */
  readonly #example = new Float64Array(5);

  constructor(runtime: Runtime, blocks: AdapterBlocks, spec: AdapterSpec, scaling: number) {
    this.#runtime = runtime;
    this.#kernels = runtime.kernels.forShape(blocks.shape);
    this.#blocks = blocks;
    this.#spec = spec;
    this.#scaling = scaling;
    this.#limits = new Limits(runtime, blocks);
  }

  get pendingUpdates(): number {
    return this.#pendingUpdates;
  }

  get step(): number {
    return this.#step;
  }

  /** A number that is another one whenever the weights have changed through this class. */
  get version(): number {
    return this.#version;
  }

  /**
   * Computes u = x A, unless it is `known`, and v = g B, and with them the norm of the whole gradient.
   * @param x,gradient the caller's arrays, for what an error says; they lie at `input` and `output`
   * @throws MicroLoraError `not-finite`, or `update-overflow` where a square exceeds float32
   */
  measure(x: Float32Array, gradient: Float32Array, input: Pointer, output: Pointer, known: boolean): void {
    const { parameters, u, v, norms } = this.#blocks;
    const { f32 } = this.#runtime;
    this.#x = input;
    this.#g = output;
    this.#kernels.measure(parameters, input, output, u, v, norms, known ? 1 : 0);
    const inputSquares = f32[norms >>> 2]!;
    const gradientSquares = f32[(norms >>> 2) + 1]!;
    let squares = this.#spec.bias ? gradientSquares : 0;
    let factors = 1;
    for (let r = 0; r < this.#spec.rank; r++) {
      const us = this.#scaling * f32[(u >>> 2) + r]!;
      const vs = this.#scaling * f32[(v >>> 2) + r]!;
      factors += us * us + vs * vs;
      squares += us * us * gradientSquares + vs * vs * inputSquares;
    }
    const factor = Math.sqrt(factors);
    if (!(Math.max(squares, inputSquares, gradientSquares, factor) <= Limits.FLOAT32)) {
      checkAllFinite(x, "x");
      checkAllFinite(gradient, "gradient");
      checkMagnitude(Number.POSITIVE_INFINITY, "gradient");
    }
    this.#example[NORM] = Math.sqrt(squares);
    this.#example[FACTOR] = factor;
    this.#example[LOST] = factor * Math.sqrt(x.length + gradient.length) * ROOT_OF_LEAST;
  }

  /** Norm of the whole gradient of the example just measured. */
  get gradientNorm(): number {
    return this.#example[NORM]!;
  }

  /** Allows or refuses the step of the example just measured. @throws MicroLoraError `update-overflow`, `memory-full` */
  allowStep(reward: number): void {
    const { learningRate, ewcLambda } = this.#spec;
    const example = this.#example;
    example[RATE] = learningRate * reward;
    example[PENALTY] = learningRate * ewcLambda;
    const rate = Math.abs(example[RATE]!);
    checkMagnitude(rate * example[FACTOR]!, "weights");
    checkMagnitude(example[PENALTY]!, "penalty");
    this.#limits.allowStep(rate * (example[NORM]! + example[LOST]!));
    this.#allowFisher();
  }

  /** The fused step of the example just measured and allowed. */
  takeStep(): void {
    const { parameters, u, v } = this.#blocks;
    const { fisherDecay } = this.#spec;
    const running = this.#blocks.use("fisherRunning");
    const fisher = this.#blocks.pointer("fisher");
    const anchor = this.#blocks.pointer("anchor");
    const rate = this.#example[RATE]!;
    const penalty = this.#example[PENALTY]!;
    this.#kernels.step(
      parameters,
      this.#x,
      this.#g,
      u,
      v,
      this.#scaling,
      rate,
      running,
      fisherDecay,
      fisher,
      anchor,
      penalty,
    );
    this.#step++;
    this.#version++;
  }

  /** Allows or refuses to accumulate the example just measured. */
  allowAccumulation(reward: number): void {
    this.#limits.allowPending(Math.abs(reward) * (this.#example[NORM]! + this.#example[LOST]!));
    this.#allowFisher();
    this.#blocks.reserve("pending");
  }

  accumulate(reward: number): void {
    const { u, v } = this.#blocks;
    const pending = this.#blocks.use("pending");
    const running = this.#blocks.use("fisherRunning");
    this.#kernels.accumulate(pending, this.#x, this.#g, u, v, this.#scaling, reward, running, this.#spec.fisherDecay);
    this.#pendingUpdates++;
    this.#step++;
  }

  /** Allows or refuses what `applyPending` would do. */
  allowPending(learningRate: number, penalty?: Penalty): void {
    checkRange(learningRate, 0, Limits.FLOAT32, "learningRate");
    if (penalty !== undefined) checkRange(penalty.ewcLambda, 0, Number.MAX_VALUE, "ewcLambda");
    if (this.#pendingUpdates === 0) return;
    const step = (learningRate / this.#pendingUpdates) * this.#limits.pending;
    if (penalty === undefined) {
      this.#limits.allowStep(step);
      return;
    }
    checkMagnitude(learningRate * penalty.ewcLambda, "penalty");
    checkAllSquares(this.#runtime.view(penalty.fisher, this.#blocks.length), "fisher");
    this.#limits.allowStep(step, this.#runtime.kernels.maxAbs(penalty.anchor, this.#blocks.length));
  }

  /** w <- w - learningRate * (mean of the pending gradients + penalty), and clears them; nothing if there are none. */
  applyPending(learningRate: number, penalty?: Penalty): void {
    if (this.#pendingUpdates === 0) return;
    const { parameters, length } = this.#blocks;
    const { kernels } = this.#runtime;
    const pending = this.#blocks.pointer("pending");
    const rate = learningRate / this.#pendingUpdates;
    if (penalty === undefined) kernels.apply(parameters, pending, length, rate);
    else {
      const { fisher, anchor, ewcLambda } = penalty;
      kernels.applyEwc(parameters, pending, fisher, anchor, length, rate, learningRate * ewcLambda);
    }
    this.#version++;
    this.#blocks.clear("pending");
    this.#pendingUpdates = 0;
    this.#limits.clearPending();
  }

  /** Allows or refuses to consolidate. @throws MicroLoraError `update-overflow`, `memory-full` */
  allowConsolidation(): void {
    if (this.#spec.ewcLambda === 0) return;
    this.#limits.allowConsolidation();
    for (const block of ["fisher", "anchor"] as const) this.#blocks.reserve(block);
  }

  /** fisher <- fisher + running, running <- 0, anchor <- weights. */
  consolidate(): void {
    if (this.#spec.ewcLambda === 0) return;
    const { parameters, length } = this.#blocks;
    const { kernels, f32 } = this.#runtime;
    const running = this.#blocks.pointer("fisherRunning");
    const fisher = this.#blocks.use("fisher");
    if (running !== 0) kernels.apply(fisher, running, length, -1);
    this.#blocks.clear("fisherRunning");
    f32.copyWithin(this.#blocks.use("anchor") >>> 2, parameters >>> 2, (parameters >>> 2) + length);
  }

  /** Forgets everything but the parameters. */
  reset(): void {
    this.restore({ step: 0, pendingUpdates: 0 });
  }

  exportState(): LearningState {
    const state: { -readonly [K in keyof LearningState]: LearningState[K] } = {
      step: this.#step,
      pendingUpdates: this.#pendingUpdates,
    };
    for (const block of LEARNING_BLOCKS) {
      const view = this.#blocks.view(block);
      if (view !== undefined) state[block] = view.slice();
    }
    return state;
  }

  /** Takes a checked state; the parameters are to be in place already. @throws MicroLoraError `memory-full` */
  restore(state: LearningState): void {
    for (const block of LEARNING_BLOCKS) {
      this.#blocks.drop(block);
      const values = state[block];
      if (values === undefined) continue;
      this.#blocks.reserve(block);
      this.#runtime.f32.set(values, this.#blocks.use(block) >>> 2);
    }
    this.#step = state.step;
    this.#pendingUpdates = state.pendingUpdates;
    this.#version++;
    this.#limits.measure();
  }

  #allowFisher(): void {
    if (this.#spec.ewcLambda === 0) return;
    this.#limits.allowRunning((this.#example[NORM]! + this.#example[LOST]!) ** 2);
    this.#blocks.reserve("fisherRunning");
  }
}
