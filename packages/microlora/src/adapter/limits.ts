import { MicroLoraError } from "../base/errors.js";
import type { Runtime } from "../kernels/runtime.js";
import type { AdapterBlocks } from "./blocks.js";

/** A little below the largest float32, so that rounding on the way cannot reach infinity. */
const LIMIT = 3.4e38;

/** From this bound on the weights are measured at each step, since what a caller wrote to them is in no bound. */
const SUSPICIOUS = 1e30;

/** Refuses a magnitude that float32 cannot hold. */
export function checkMagnitude(value: number, where: string): void {
  if (value <= LIMIT) return;
  throw new MicroLoraError(
    "update-overflow",
    where,
    `the step would reach ${value}, beyond float32`,
    "Lower the learning rate, or scale the input and the gradient down",
  );
}

/**
 * Upper bounds on the magnitudes in an adapter's blocks, so that a step can be refused before it writes. They only ever
 * grow, by what each step can add at most; when they reach the limit they are measured anew.
 */
export class Limits {
  static readonly FLOAT32 = LIMIT;
  readonly #runtime: Runtime;
  readonly #blocks: AdapterBlocks;
  #weights = 0;
  #anchor = 0;
  #fisher = 0;
  #running = 0;
  #pending = 0;

  constructor(runtime: Runtime, blocks: AdapterBlocks) {
    this.#runtime = runtime;
    this.#blocks = blocks;
  }

  /** Measures every bound; after the blocks were written by anything but a step. */
  measure(): void {
    this.#weights = this.#runtime.kernels.maxAbs(this.#blocks.parameters, this.#blocks.length);
    this.#anchor = this.#maxOf("anchor");
    this.#fisher = this.#maxOf("fisher");
    this.#running = this.#maxOf("fisherRunning");
    this.#pending = this.#maxOf("pending");
  }

  /**
   * Allows or refuses w <- w - g - penalty * fisher * (w - anchor), where |g| <= step. Where the penalty overshoots the
   * anchor, weights of any size may grow, and are measured too.
   * @throws MicroLoraError `update-overflow`
   */
  allowStep(step: number, penalty: number, fisher?: number, anchor?: number): void {
    const overshoots = penalty * (fisher ?? this.#fisher) > 1;
    if (overshoots || !(this.#highest(step, penalty, fisher, anchor) <= SUSPICIOUS)) {
      this.measure();
      checkMagnitude(2 * this.#highest(step, penalty, fisher, anchor), "weights");
    }
    this.#weights = this.#after(step, penalty, fisher, anchor);
  }

  /** Allows or refuses running <- decay * running + (1 - decay) * square. */
  allowRunning(square: number): void {
    checkMagnitude(square, "fisherRunning");
    if (square > this.#running) this.#running = square;
  }

  /** Allows or refuses pending <- pending + g, where |g| <= step. */
  allowPending(step: number): void {
    if (!(this.#pending + step <= LIMIT)) this.measure();
    checkMagnitude(this.#pending + step, "pending gradients");
    this.#pending += step;
  }

  /** Allows or refuses fisher <- fisher + running, anchor <- weights. */
  allowConsolidation(): void {
    if (!(this.#fisher + this.#running <= LIMIT)) this.measure();
    checkMagnitude(this.#fisher + this.#running, "fisher");
    this.#fisher += this.#running;
    this.#anchor = Math.max(this.#anchor, this.#weights);
  }

  /** Bound on the pending gradients, which `clearPending` sets back. */
  get pending(): number {
    return this.#pending;
  }

  clearPending(): void {
    this.#pending = 0;
  }

  /** The highest number that a step comes across; twice that also bounds a difference of two. */
  #highest(step: number, penalty: number, fisher = this.#fisher, anchor = this.#anchor): number {
    return Math.max(this.#after(step, penalty, fisher, anchor), penalty, penalty * fisher, anchor);
  }

  #after(step: number, penalty: number, fisher = this.#fisher, anchor = this.#anchor): number {
    return this.#weights + penalty * fisher * (this.#weights + anchor) + step;
  }

  #maxOf(block: "anchor" | "fisher" | "fisherRunning" | "pending"): number {
    const pointer = this.#blocks.pointer(block);
    return pointer === 0 ? 0 : this.#runtime.kernels.maxAbs(pointer, this.#blocks.length);
  }
}
