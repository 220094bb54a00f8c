import type { LearningBlock } from "../blocks.js";
import { checkMagnitude, Limits } from "../limits.js";

/** An upper bound on the magnitudes in a block of a method, as `Limits` keeps them for the blocks of every adapter. */
export class BlockBound {
  readonly #limits: Limits;
  readonly #block: LearningBlock;
  /** Unknown until it is measured, as after a restart. */
  #bound = Number.NaN;

  constructor(limits: Limits, block: LearningBlock) {
    this.#limits = limits;
    this.#block = block;
  }

  /** Allows or refuses block <- decay * block + s with |s| <= step; returns the bound of the result. */
  allow(decay: number, step: number): number {
    let bound = decay * this.#bound + step;
    if (!(bound <= Limits.FLOAT32 / 2)) {
      bound = decay * this.#limits.maxOf(this.#block) + step;
      checkMagnitude(2 * bound, this.#block);
    }
    this.#bound = bound;
    return bound;
  }

  /** After the block was written by anything else. */
  forget(): void {
    this.#bound = Number.NaN;
  }
}

/** Refuses a gradient whose square float32 cannot hold. */
export function checkSquare(gradient: number): void {
  checkMagnitude(gradient ** 2, "secondMoment");
}
