import type { Pointer } from "../../kernels/contract.js";
import type { LearningKernels } from "../../kernels/learning-contract.js";
import { learningKernelsOf } from "../../kernels/learning-load.js";
import { checkMagnitude } from "../limits.js";
import type { EwcRule, MethodHost } from "./method.js";

/** Share of the way to the anchor that A and B may each be pulled at most: both move at once, and must not overshoot. */
const LARGEST_PULL = 0.5;

/** A side of the product: the factor that moves, and what the other one makes of its curvature. */
interface Side {
  /** Floats from the start of the parameters. */
  readonly at: number;
  readonly n: number;
  /** Of the other factor, M = F q F^T and M* = F* q F^T [rank, rank], measured before a step. */
  readonly now: Float64Array;
  readonly past: Float64Array;
  /** Steps of the pull: on M and M*, and on p. */
  cap: number;
  penalty: number;
}

/**
 * The pull of `productEwc`. With s = scaling, D = s (A B - A* B*) and F = p q^T, the gradient of lambda / 2 sum F D^2 is
 *   dA_r = lambda s^2 p . sum_k (M_rk A_k - M*_kr A*_k),  M_rk = sum_j q_j B_rj B_kj,  M*_kr = sum_j q_j B*_kj B_rj,
 * and the same for B with N = A p A^T. The step of a parameter is at most 1 / (2 trace), so that it cannot overshoot, as
 * docs/decisions/0004 has it for the factors. Cost: rank^2 (in + out).
 */
export class ProductPenalty implements EwcRule {
  readonly onFactors = false;
  readonly #host: MethodHost;
  readonly #gamma: number;
  readonly #learning: LearningKernels;
  readonly #a: Side;
  readonly #b: Side;
  #penalty = 0;

  constructor(host: MethodHost, gamma: number) {
    const { rank, inFeatures, outFeatures } = host.blocks.shape;
    const square = () => ({ now: new Float64Array(rank * rank), past: new Float64Array(rank * rank) });
    this.#host = host;
    this.#gamma = gamma;
    this.#learning = learningKernelsOf(host.runtime);
    this.#a = { at: 0, n: inFeatures, ...square(), cap: 0, penalty: 0 };
    this.#b = { at: rank * inFeatures, n: outFeatures, ...square(), cap: 0, penalty: 0 };
  }

  allowTracking(inputSquares: number, gradientSquares: number): void {
    this.#host.limits.allowRunning(Math.max(inputSquares, gradientSquares));
  }

  reserve(): void {
    const { blocks, runtime } = this.#host;
    const { rank, inFeatures, outFeatures } = blocks.shape;
    runtime.scratch.output.reserve(blocks.length);
    runtime.scratch.intermediate.reserve(Math.max(inFeatures, outFeatures));
    runtime.scratch.rows.reserve(rank);
  }

  allowStep(penalty: number): number {
    const { blocks, scaling } = this.#host;
    this.#penalty = penalty;
    if (blocks.pointer("fisher") === 0) return 0;
    checkMagnitude(penalty * scaling * scaling, "penalty");
    return Math.max(this.#measure(this.#a, this.#b), this.#measure(this.#b, this.#a));
  }

  before(): void {
    const { blocks, runtime } = this.#host;
    const fisher = blocks.pointer("fisher");
    if (fisher === 0) return;
    const { rank, bias, outFeatures } = blocks.shape;
    const anchor = blocks.pointer("anchor");
    const goals = runtime.scratch.output.reserve(blocks.length);
    for (const side of [this.#a, this.#b]) this.#place(side, goals);
    for (const side of [this.#a, this.#b]) {
      if (side.cap === 0) continue;
      for (let r = 0; r < rank; r++) {
        const at = 4 * (side.at + r * side.n);
        const w = blocks.parameters + at;
        runtime.kernels.applyEwc(w, w, this.#fisherOf(side), goals + at, side.n, 0, side.penalty / side.cap);
      }
    }
    if (bias === 0) return;
    const at = 4 * (blocks.length - outFeatures);
    const w = blocks.parameters + at;
    runtime.kernels.applyEwc(w, w, this.#fisherOf(this.#b), anchor + at, outFeatures, 0, this.#penalty);
  }

  track(x: Pointer, g: Pointer): void {
    const { blocks, runtime, fisherDecay } = this.#host;
    const running = blocks.use("fisherRunning");
    runtime.kernels.updateFisher(running, x, this.#a.n, fisherDecay);
    runtime.kernels.updateFisher(running + 4 * this.#a.n, g, this.#b.n, fisherDecay);
  }

  after(): void {}

  allowConsolidation(): void {
    this.#host.limits.allowConsolidation();
  }

  /** p is the mean over the tasks, each weighted by gamma^age, and q the sum: so p q^T has the scale of a sum of Fishers. */
  consolidate(): void {
    const { blocks, runtime } = this.#host;
    const { kernels, f32 } = runtime;
    const fisher = blocks.use("fisher");
    const running = blocks.pointer("fisherRunning");
    const [n, m] = [this.#a.n, this.#b.n];
    const mass = (fisher >>> 2) + n + m;
    if (running === 0) return;
    f32[mass] = this.#gamma * f32[mass]! + 1;
    kernels.apply(fisher, fisher, n, 1 / f32[mass]!);
    kernels.apply(fisher, running, n, -1 / f32[mass]!);
    kernels.apply(fisher + 4 * n, fisher + 4 * n, m, 1 - this.#gamma);
    kernels.apply(fisher + 4 * n, running + 4 * n, m, -1);
    blocks.clear("fisherRunning");
  }

  #fisherOf(side: Side): Pointer {
    return this.#host.blocks.pointer("fisher") + (side === this.#a ? 0 : 4 * this.#a.n);
  }

  /** What the pull on one side will be, from the other; returns how far it leads at most. */
  #measure(side: Side, other: Side): number {
    const { blocks, runtime, limits, scaling } = this.#host;
    const { kernels, f32, scratch } = runtime;
    const { rank } = blocks.shape;
    const anchor = blocks.pointer("anchor");
    const weighted = scratch.intermediate.reserve(other.n);
    const column = scratch.rows.reserve(rank);
    let [trace, sum] = [0, 0];
    for (let r = 0; r < rank; r++) {
      const row = blocks.parameters + 4 * (other.at + r * other.n);
      this.#learning.multiply(weighted, row, this.#fisherOf(other), other.n);
      for (const [matrix, block] of [
        [side.now, blocks.parameters],
        [side.past, anchor],
      ] as const) {
        kernels.project(block + 4 * other.at, weighted, column, rank, other.n);
        for (let k = 0; k < rank; k++) {
          matrix[r * rank + k] = f32[(column >>> 2) + k]!;
          sum += Math.abs(matrix[r * rank + k]!);
        }
      }
      trace += side.now[r * rank + r]!;
    }
    checkMagnitude(sum, "penalty");
    side.cap = trace > 0 ? LARGEST_PULL / trace : 0;
    side.penalty = this.#penalty * scaling * scaling;
    if (side.cap === 0) return 0;
    const largest = Math.min(side.penalty * kernels.maxAbs(this.#fisherOf(side), side.n), side.cap);
    checkMagnitude(side.penalty / side.cap, "penalty");
    checkMagnitude(side.cap * sum, "penalty");
    return largest * sum * Math.max(kernels.maxAbs(blocks.parameters, blocks.length), limits.maxOf("anchor"));
  }

  /** goal = w - cap * sum_k (M_rk w_k - M*_kr w*_k): where a pull of 1 leads. */
  #place(side: Side, goals: Pointer): void {
    const { blocks, runtime } = this.#host;
    const { kernels, f32, scratch } = runtime;
    const { rank } = blocks.shape;
    const column = scratch.rows.reserve(rank);
    for (let r = 0; r < rank; r++) {
      const at = 4 * (side.at + r * side.n);
      const from = (blocks.parameters + at) >>> 2;
      f32.copyWithin((goals + at) >>> 2, from, from + side.n);
      for (const [matrix, block, sign] of [
        [side.now, blocks.parameters, -1],
        [side.past, blocks.pointer("anchor"), 1],
      ] as const) {
        for (let k = 0; k < rank; k++) f32[(column >>> 2) + k] = sign * side.cap * matrix[r * rank + k]!;
        kernels.expandAdd(column, block + 4 * side.at, goals + at, rank, side.n);
      }
    }
  }
}
