import { refusal } from "../base/errors.js";
import type { Runtime } from "../kernels/runtime.js";
import type { AdapterBlocks, LearningBlock } from "./blocks.js";

/** A little below the largest float32, so that rounding on the way cannot reach infinity. */
const LIMIT = 3.4e38;

/** From this bound on the weights are measured at each step, since what a caller wrote to them is in no bound. */
const SUSPICIOUS = 1e30;

const WEIGHTS = 0;
const ANCHOR = 1;
const FISHER = 2;
const RUNNING = 3;
const PENDING = 4;

/** Refuses a magnitude that float32 cannot hold. */
export function checkMagnitude(value: number, where: string): void {
  if (value <= LIMIT) return;
  throw refusal(
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
  /** In an array, where a number that changes needs no allocation; indexed by the constants above. */
  readonly #bounds = new Float64Array(5);

  constructor(runtime: Runtime, blocks: AdapterBlocks) {
    this.#runtime = runtime;
    this.#blocks = blocks;
  }

  /** Measures every bound; after the blocks were written by anything but a step. */
  measure(): void {
    this.#bounds[WEIGHTS] = this.#runtime.kernels.maxAbs(this.#blocks.parameters, this.#blocks.length);
    this.#bounds[ANCHOR] = this.maxOf("anchor");
    this.#bounds[FISHER] = this.maxOf("fisher");
    this.#bounds[RUNNING] = this.maxOf("fisherRunning");
    this.#bounds[PENDING] = this.maxOf("pending");
  }

  /**
   * Allows or refuses w <- w - g - pull * (w - anchor), where |g| <= step and pull is in [0, 1], so that it leads no
   * weight further out than the anchor.
   * @param anchor bound of an anchor that is not the adapter's own
   * @throws MicroLoraError `update-overflow`
   */
  allowStep(step: number, anchor = this.#bounds[ANCHOR]!): void {
    if (!(Math.max(this.#bounds[WEIGHTS]!, anchor) + step <= SUSPICIOUS)) {
      this.measure();
      checkMagnitude(2 * (Math.max(this.#bounds[WEIGHTS]!, anchor) + step), "weights");
    }
    this.#bounds[WEIGHTS] = Math.max(this.#bounds[WEIGHTS]!, anchor) + step;
  }

  /** Allows or refuses running <- decay * running + (1 - decay) * square. */
  allowRunning(square: number): void {
    checkMagnitude(square, "fisherRunning");
    if (square > this.#bounds[RUNNING]!) this.#bounds[RUNNING] = square;
  }

  /** Allows or refuses pending <- pending + g, where |g| <= step. */
  allowPending(step: number): void {
    if (!(this.#bounds[PENDING]! + step <= LIMIT)) this.measure();
    checkMagnitude(this.#bounds[PENDING]! + step, "pending gradients");
    this.#bounds[PENDING]! += step;
  }

  /** Allows or refuses fisher <- fisher + running, anchor <- weights. */
  allowConsolidation(): void {
    if (!(this.#bounds[FISHER]! + this.#bounds[RUNNING]! <= LIMIT)) this.measure();
    checkMagnitude(this.#bounds[FISHER]! + this.#bounds[RUNNING]!, "fisher");
    this.#bounds[FISHER]! += this.#bounds[RUNNING]!;
    this.#bounds[ANCHOR] = Math.max(this.#bounds[ANCHOR]!, this.#bounds[WEIGHTS]!);
  }

  /** Bound on the pending gradients, which `clearPending` sets back. */
  get pending(): number {
    return this.#bounds[PENDING]!;
  }

  clearPending(): void {
    this.#bounds[PENDING] = 0;
  }

  /** Largest magnitude in a block; 0 if it is not in use. */
  maxOf(block: LearningBlock): number {
    const pointer = this.#blocks.pointer(block);
    return pointer === 0 ? 0 : this.#runtime.kernels.maxAbs(pointer, this.#blocks.lengthOf(block));
  }
}
