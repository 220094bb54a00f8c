import { checkAllFinite, checkAllSquares, checkRange } from "../base/check.js";
import { refusal } from "../base/errors.js";
import type { AdapterKernels, Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";
import { type AdapterBlocks, LEARNING_BLOCKS, type LearningBlock, PENALTY_BLOCKS } from "./blocks.js";
import {
  FACTOR,
  GRADIENT_SQUARES,
  INPUT_SQUARES,
  LOST,
  NORM,
  NUMBERS,
  PENALTY,
  RATE,
  readNorms,
  SCALE,
} from "./example-norms.js";
import { checkMagnitude, Limits } from "./limits.js";
import { consolidateFactors } from "./methods/factors.js";
import type { MethodStep } from "./methods/method.js";
import type { Penalty } from "./penalty.js";
import type { AdapterSpec } from "./spec.js";
import type { CheckedGradient } from "./whole-gradient.js";

/** Smaller Fisher information counts as 0, since arithmetic on denormals is slow. */
const NEGLIGIBLE = 1e-30;

/** What a restart must bring back beside the parameters. */
export interface LearningState extends Partial<Readonly<Record<LearningBlock, Float32Array>>> {
  /** Steps that the schedule has counted. */
  readonly step: number;
  /** Gradients that were accumulated and not applied yet. */
  readonly pendingUpdates: number;
  /** Number of updates of the weights: what a schedule and an optimiser count. */
  readonly updates: number;
}

/**
 * How one adapter learns. Each change comes in two halves: `measure` and `allow…` write no state and may throw; the second half
 * cannot fail. So several adapters change together or not at all.
 */
export class AdapterLearning {
  readonly #runtime: Runtime;
  readonly #kernels: AdapterKernels;
  readonly #blocks: AdapterBlocks;
  readonly #spec: AdapterSpec;
  readonly #scaling: number;
  readonly #limits: Limits;
  /** null where optimiser and EWC are those of the fused kernel. */
  #methods: MethodStep | null;
  readonly #bind: () => MethodStep | null;
  #pendingUpdates = 0;
  #updates = 0;
  #step = 0;
  #version = 0;
  // Where the example that was measured last lies.
  #x: Pointer = 0;
  #g: Pointer = 0;
  /** What is known of it, in an array, where a number that changes needs no allocation; see `example-norms.ts`. */
  readonly #example = new Float64Array(NUMBERS);

  constructor(runtime: Runtime, blocks: AdapterBlocks, spec: AdapterSpec, scaling: number) {
    this.#runtime = runtime;
    this.#kernels = runtime.kernels.forShape(blocks.shape);
    this.#blocks = blocks;
    this.#spec = spec;
    this.#scaling = scaling;
    this.#limits = new Limits(runtime, blocks);
    const { fisherDecay, methods } = spec;
    const ewc = spec.ewcLambda === 0 ? null : methods.ewc;
    const host = { runtime, kernels: this.#kernels, blocks, limits: this.#limits, scaling, fisherDecay };
    this.#bind = () => (methods.optimizer ?? ewc)?.createStep(host, { ...methods, ewc }) ?? null;
    this.#methods = this.#bind();
  }

  get pendingUpdates(): number {
    return this.#pendingUpdates;
  }

  get step(): number {
    return this.#step;
  }

  /** Incremented on every weight change through this class. */
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
    this.#x = input;
    this.#g = output;
    this.#kernels.measure(parameters, input, output, u, v, norms, known ? 1 : 0);
    if (readNorms(this.#example, this.#runtime.f32, this.#blocks, this.#spec, this.#scaling)) return;
    checkAllFinite(x, "x");
    checkAllFinite(gradient, "gradient");
    checkMagnitude(Number.POSITIVE_INFINITY, "gradient");
  }

  /** Norm of the whole gradient of the example just measured. */
  get gradientNorm(): number {
    return this.#example[NORM]!;
  }

  /** Allows or refuses the step of the example just measured. @throws MicroLoraError `update-overflow`, `memory-full` */
  allowStep(reward: number): void {
    const example = this.#example;
    const scale = reward * this.#clipped(Math.abs(reward) * example[NORM]!);
    this.#setRate(scale);
    const rate = example[RATE]!;
    const size = Math.abs(scale);
    checkMagnitude(rate * size * example[FACTOR]!, "weights");
    const gradient = size * (example[NORM]! + example[LOST]!);
    const reach = this.#methods?.allow(rate, gradient, example[PENALTY]!) ?? rate * gradient;
    this.#limits.allowStep(reach);
    this.#allowFisher();
  }

  /** Makes room for a step of any example. @throws MicroLoraError `memory-full` */
  reserveStep(): void {
    this.#methods?.reserve();
    if (this.#spec.ewcLambda !== 0) this.#blocks.reserve("fisherRunning");
  }

  /** The fused step of the example just measured and allowed. */
  takeStep(): void {
    const { parameters, u, v } = this.#blocks;
    const rate = this.#example[RATE]!;
    const scale = this.#example[SCALE]!;
    const penalty = this.#example[PENALTY]!;
    const x = this.#x;
    const g = this.#g;
    if (this.#methods === null) {
      const { fisherDecay } = this.#spec;
      const running = this.#running();
      const fisher = this.#blocks.pointer("fisher");
      const anchor = this.#blocks.pointer("anchor");
      const stepLength = rate * scale;
      const scaling = this.#scaling;
      this.#kernels.step(parameters, x, g, u, v, scaling, stepLength, running, fisherDecay, fisher, anchor, penalty);
    } else {
      this.#methods.takeExample(x, g, rate, scale, penalty, this.#running(), this.#updates + 1);
    }
    this.#updates++;
    this.#countStep();
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
    const running = this.#running();
    this.#kernels.accumulate(pending, this.#x, this.#g, u, v, this.#scaling, reward, running, this.#spec.fisherDecay);
    this.#methods?.rule?.track(this.#x, this.#g);
    this.#pendingUpdates++;
    this.#countStep();
  }

  /** Allows or refuses to accumulate a whole gradient as one example. @throws MicroLoraError */
  allowWhole({ norm, squares }: CheckedGradient): void {
    if (this.#methods?.rule?.onFactors === false) {
      const problem = "has to see the input and the gradient of each example, which a whole gradient does not have";
      const remedy = "Make the adapter with onlineEwc(), ewcPlusPlus() or rwalk(), or with ewcLambda: 0";
      throw refusal("invalid-config", "learning.ewc", problem, remedy);
    }
    this.#limits.allowPending(norm);
    if (this.#spec.ewcLambda !== 0) {
      this.#limits.allowRunning(squares === null ? norm ** 2 : largest(squares));
      this.#blocks.reserve("fisherRunning");
    }
    this.#blocks.reserve("pending");
  }

  /** Adds the whole gradient that was allowed to the pending ones, and to the running Fisher information. */
  accumulateWhole({ values, squares }: CheckedGradient): void {
    const { fisherDecay } = this.#spec;
    this.#blocks.use("pending");
    const pending = this.#blocks.view("pending")!;
    for (let i = 0; i < values.length; i++) pending[i]! += values[i]!;
    this.#blocks.use("fisherRunning");
    const running = this.#blocks.view("fisherRunning") ?? [];
    for (let i = 0; i < running.length; i++) {
      const fisher = fisherDecay * running[i]! + (1 - fisherDecay) * (squares?.[i] ?? values[i]! ** 2);
      running[i] = fisher < NEGLIGIBLE ? 0 : fisher;
    }
    this.#pendingUpdates++;
    this.#countStep();
  }

  /**
   * Allows or refuses an update along the mean of the pending gradients.
   * @param learningRate a plain step of this length, with the caller's penalty if there is one; by default the adapter's own
   * optimiser, schedule, clipping and penalty
   */
  allowUpdate(learningRate?: number, penalty?: Penalty): void {
    if (learningRate !== undefined) checkRange(learningRate, 0, Limits.FLOAT32, "learningRate");
    if (penalty !== undefined) checkRange(penalty.ewcLambda, 0, Number.MAX_VALUE, "ewcLambda");
    if (this.#pendingUpdates === 0) return;
    const { kernels } = this.#runtime;
    const { length } = this.#blocks;
    if (learningRate === undefined) {
      const mean = Math.sqrt(kernels.sumSquares(this.#blocks.pointer("pending"), length)) / this.#pendingUpdates;
      checkMagnitude(mean, "pending gradients");
      this.#setRate(this.#clipped(mean) / this.#pendingUpdates);
    } else {
      this.#setRate(1, learningRate / this.#pendingUpdates, learningRate * (penalty?.ewcLambda ?? 0));
    }
    const rate = this.#example[RATE]!;
    const gradient = this.#example[SCALE]! * this.#limits.pending;
    const methods = learningRate === undefined ? this.#methods : null;
    if (penalty !== undefined) checkAllSquares(this.#runtime.view(penalty.fisher, length), "fisher");
    this.#limits.allowStep(
      methods?.allow(rate, gradient, this.#example[PENALTY]!) ?? rate * gradient,
      penalty && kernels.maxAbs(penalty.anchor, length),
    );
  }

  /** The update that was allowed, which clears the pending gradients. @param plain whether a learning rate was given */
  update(plain: boolean, penalty?: Penalty): void {
    if (this.#pendingUpdates === 0) return;
    const { parameters, length } = this.#blocks;
    const { kernels } = this.#runtime;
    const pending = this.#blocks.pointer("pending");
    const rate = this.#example[RATE]!;
    const scale = this.#example[SCALE]!;
    const pull = this.#example[PENALTY]!;
    const fisher = plain ? (penalty?.fisher ?? 0) : this.#blocks.pointer("fisher");
    const anchor = penalty?.anchor ?? this.#blocks.pointer("anchor");
    if (!plain && this.#methods !== null) this.#methods.takePending(pending, rate, scale, pull, this.#updates + 1);
    else if (fisher === 0) kernels.apply(parameters, pending, length, rate * scale);
    else kernels.applyEwc(parameters, pending, fisher, anchor, length, rate * scale, pull);
    this.#updates++;
    this.#version++;
    this.#blocks.clear("pending");
    this.#pendingUpdates = 0;
    this.#limits.clearPending();
  }

  /** Allows or refuses to consolidate. @throws MicroLoraError `update-overflow`, `memory-full` */
  allowConsolidation(): void {
    if (this.#spec.ewcLambda === 0) return;
    for (const block of ["fisher", "anchor"] as const) this.#blocks.reserve(block);
    if (this.#methods?.rule) this.#methods.rule.allowConsolidation();
    else this.#limits.allowConsolidation();
  }

  /** Ends a task: the penalty holds on to what the running Fisher found important, and anchor <- weights. */
  consolidate(): void {
    if (this.#spec.ewcLambda === 0) return;
    const { parameters, length } = this.#blocks;
    const { kernels, f32 } = this.#runtime;
    if (this.#methods?.rule) this.#methods.rule.consolidate();
    else consolidateFactors(kernels, this.#blocks, this.#spec.ewc);
    f32.copyWithin(this.#blocks.use("anchor") >>> 2, parameters >>> 2, (parameters >>> 2) + length);
  }

  /** Forgets everything but the parameters, and frees its memory. */
  reset(): void {
    for (const block of LEARNING_BLOCKS) this.#blocks.drop(block);
    this.restore({ step: 0, pendingUpdates: 0, updates: 0 });
  }

  exportState(): LearningState {
    const state: { -readonly [K in keyof LearningState]: LearningState[K] } = {
      step: this.#step,
      pendingUpdates: this.#pendingUpdates,
      updates: this.#updates,
    };
    for (const block of LEARNING_BLOCKS) {
      const view = this.#blocks.view(block);
      if (view !== undefined) state[block] = view.slice();
    }
    return state;
  }

  /** Makes room for a state. @throws MicroLoraError `memory-full`; nothing has changed then */
  reserveState(state: LearningState): void {
    for (const block of LEARNING_BLOCKS) if (state[block] !== undefined) this.#blocks.reserve(block);
  }

  /**
   * Takes a checked state for which there is room; the parameters are to be in place already.
   * @param keepsPenalty leaves Fisher information and anchor as they are
   */
  restore(state: LearningState, keepsPenalty = false): void {
    for (const block of LEARNING_BLOCKS) {
      if (keepsPenalty && PENALTY_BLOCKS.includes(block)) continue;
      const values = state[block];
      if (values === undefined) this.#blocks.clear(block);
      else this.#runtime.f32.set(values, this.#blocks.use(block) >>> 2);
    }
    this.#step = state.step;
    this.#pendingUpdates = state.pendingUpdates;
    this.#updates = state.updates;
    this.#version++;
    this.#limits.measure();
    this.#methods = this.#bind();
  }

  /** Where the kernels track the Fisher on A and B; 0 if they do not, or if this example only lets it decay. */
  #running(): Pointer {
    const running = this.#blocks.use("fisherRunning");
    if (running === 0 || this.#methods?.rule?.onFactors === false) return 0;
    if (this.#example[NORM]! ** 2 > NEGLIGIBLE) return running;
    this.#runtime.kernels.apply(running, running, this.#blocks.length, 1 - this.#spec.fisherDecay);
    return 0;
  }

  /** Sets what has decayed below `NEGLIGIBLE` to 0, now and then. */
  #countStep(): void {
    this.#step++;
    if (this.#step % 256 !== 0) return;
    const running = this.#blocks.view("fisherRunning") ?? [];
    for (let i = 0; i < running.length; i++) if (running[i]! < NEGLIGIBLE) running[i] = 0;
  }

  #allowFisher(): void {
    if (this.#spec.ewcLambda === 0) return;
    const example = this.#example;
    const rule = this.#methods?.rule;
    if (rule?.onFactors === false) rule.allowTracking(example[INPUT_SQUARES]!, example[GRADIENT_SQUARES]!);
    else this.#limits.allowRunning((example[NORM]! + example[LOST]!) ** 2);
    this.#blocks.reserve("fisherRunning");
  }

  /** What is left of a gradient of this norm, as a factor (Pascanu et al. 2013, algorithm 1). */
  #clipped(norm: number): number {
    const { clipNorm } = this.#spec;
    return clipNorm === null || norm <= clipNorm ? 1 : clipNorm / norm;
  }

  #setRate(scale: number, rate = this.#scheduledRate, penalty = rate * this.#spec.ewcLambda): void {
    this.#example[RATE] = rate;
    this.#example[SCALE] = scale;
    this.#example[PENALTY] = penalty;
    checkMagnitude(penalty, "penalty");
  }

  get #scheduledRate(): number {
    const { learningRate, methods } = this.#spec;
    return learningRate * (methods.schedule?.factorAt(this.#updates + 1) ?? 1);
  }
}

function largest(values: Float32Array): number {
  let most = 0;
  for (let i = 0; i < values.length; i++) most = Math.max(most, values[i]!);
  return most;
}
