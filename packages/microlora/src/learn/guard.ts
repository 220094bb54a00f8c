import type { AdapterState } from "../adapter/lora-adapter.js";
import { checkRange } from "../base/check.js";
import { copyOf, type Example } from "./example.js";

export interface GuardConfig {
  /** Recent examples that are held back to check with; 16 by default. What leaves them is learned from then. */
  readonly hold: number;
  /** Every how many feedbacks one is held back; 4 by default. */
  readonly share: number;
  /** Updates from one check to the next; 32 by default. */
  readonly every: number;
  /** Standard errors by which the loss on what was held back has to be worse before updates are taken back; 1 by default. */
  readonly strictness: number;
}

export const GUARD_DEFAULTS: GuardConfig = { hold: 16, share: 4, every: 32, strictness: 1 };

export interface GuardState {
  readonly offered: number;
  readonly updates: number;
  readonly promoted: number;
  readonly rejected: number;
  /** The oldest first. */
  readonly held: readonly Example[];
  /** The adapters as they were promoted last; null before the first update. */
  readonly accepted: readonly AdapterState[] | null;
}

const NEW: GuardState = { offered: 0, updates: 0, promoted: 0, rejected: 0, held: [], accepted: null };

/** Fewer than these cannot tell weights apart. */
const LEAST = 4;

/**
 * A promotion gate: recent feedback is held back, and the updates since the last check are kept only if they do not make the loss on
 * it worse, by a paired comparison: mean difference > strictness * its standard error takes them back.
 */
export class Guard {
  readonly config: GuardConfig;
  #state = NEW;

  constructor(config: GuardConfig) {
    checkRange(config.hold, LEAST, 1024, "guard.hold");
    checkRange(config.share, 2, 1e6, "guard.share");
    checkRange(config.every, 1, 1e6, "guard.every");
    checkRange(config.strictness, 0, 100, "guard.strictness");
    this.config = config;
  }

  get state(): GuardState {
    return this.#state;
  }

  /** Whether the next example is to be held back. */
  get holdsNext(): boolean {
    return this.#state.offered % this.config.share === this.config.share - 1;
  }

  /** An example went by that was learned from at once. */
  passed(): void {
    this.#state = { ...this.#state, offered: this.#state.offered + 1 };
  }

  /** Holds an example back; returns the one that leaves, to be learned from. */
  hold(example: Example): Example | undefined {
    const held = [...this.#state.held, copyOf(example)];
    const leaving = held.length > this.config.hold ? held.shift() : undefined;
    this.#state = { ...this.#state, held, offered: this.#state.offered + 1 };
    return leaving;
  }

  /** Before the first update: what there is to go back to. */
  start(weights: () => readonly AdapterState[]): void {
    if (this.#state.accepted === null) this.#state = { ...this.#state, accepted: weights() };
  }

  /**
   * After an update: checks if it is time.
   * @param lossOf loss of a held example under the weights of now, or those given
   * @param weights copies the weights of now
   * @returns the weights to go back to, if the updates are to be taken back
   */
  updated(
    lossOf: (example: Example, accepted?: readonly AdapterState[]) => number,
    weights: () => readonly AdapterState[],
  ): readonly AdapterState[] | null {
    const { held, accepted, promoted, rejected } = this.#state;
    const updates = this.#state.updates + 1;
    this.#state = { ...this.#state, updates };
    if (updates < this.config.every || held.length < LEAST || accepted === null) return null;
    const differences = held.map((example) => lossOf(example) - lossOf(example, accepted));
    const mean = differences.reduce((sum, d) => sum + d, 0) / held.length;
    const variance = differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / (held.length - 1);
    const worse = mean > 0 && mean > this.config.strictness * Math.sqrt(variance / held.length);
    if (worse) {
      this.#state = { ...this.#state, updates: 0, rejected: rejected + 1 };
      return accepted;
    }
    this.#state = { ...this.#state, updates: 0, promoted: promoted + 1, accepted: weights() };
    return null;
  }

  /** The weights of now are good by decree: after a rollback by hand, or a consolidation. */
  accept(weights: () => readonly AdapterState[]): void {
    if (this.#state.accepted !== null) this.#state = { ...this.#state, updates: 0, accepted: weights() };
  }

  restore(state: GuardState): void {
    this.#state = { ...state, held: state.held.map(copyOf) };
  }
}
