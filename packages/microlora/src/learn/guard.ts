import type { AdapterState } from "../adapter/lora-adapter.js";
import { checkRange } from "../base/check.js";
import { copyOf, type Example } from "./example.js";

export interface GuardConfig {
  /** Recent examples that are held back to check with; 16 by default. What leaves them is learned from then. */
  readonly hold: number;
  /** Every how many feedbacks one is held back; 8 by default. */
  readonly share: number;
  /** Updates from one check to the next; 64 by default. */
  readonly every: number;
  /** Standard errors by which the loss on what was held back has to be worse before updates are taken back; 1 by default. */
  readonly strictness: number;
}

export const GUARD_DEFAULTS: GuardConfig = { hold: 16, share: 8, every: 64, strictness: 1 };

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

type LossOf = (example: Example, accepted?: readonly AdapterState[]) => number;

/** Fewer than these cannot tell weights apart. */
const LEAST = 4;

/**
 * A promotion gate: recent feedback is held back, and the updates since the last check are kept only if they do not make the loss on
 * it worse, by a paired comparison: mean difference > strictness * its standard error takes them back.
 */
export class Guard {
  readonly config: GuardConfig;
  #offered = 0;
  #updates = 0;
  #promoted = 0;
  #rejected = 0;
  #held: Example[] = [];
  #accepted: readonly AdapterState[] | null = null;
  /** Losses of held choices under the accepted weights; that of a rating moves with the reference, so it is not kept. */
  #acceptedLosses = new Map<Example, number>();

  constructor(config: GuardConfig) {
    checkRange(config.hold, LEAST, 1024, "guard.hold");
    checkRange(config.share, 2, 1e6, "guard.share");
    checkRange(config.every, 1, 1e6, "guard.every");
    checkRange(config.strictness, 0, 100, "guard.strictness");
    this.config = config;
  }

  get state(): GuardState {
    return {
      offered: this.#offered,
      updates: this.#updates,
      promoted: this.#promoted,
      rejected: this.#rejected,
      held: [...this.#held],
      accepted: this.#accepted,
    };
  }

  /** Whether there are weights to go back to. */
  get started(): boolean {
    return this.#accepted !== null;
  }

  /** Whether the next example is to be held back. */
  get holdsNext(): boolean {
    return this.#offered % this.config.share === this.config.share - 1;
  }

  /** An example went by that was learned from at once. */
  passed(): void {
    this.#offered++;
  }

  /** Holds an example back; returns the one that leaves, to be learned from. */
  hold(example: Example): Example | undefined {
    this.#offered++;
    this.#held.push(copyOf(example));
    if (this.#held.length <= this.config.hold) return undefined;
    const leaving = this.#held.shift()!;
    this.#acceptedLosses.delete(leaving);
    return leaving;
  }

  /** Before the first update: what there is to go back to. */
  start(weights: readonly AdapterState[]): void {
    this.#accepted ??= weights;
  }

  /**
   * After an update: checks if it is time.
   * @param lossOf loss of a held example under the weights of now, or those given; under those accepted it is asked for once
   * @param weights copies the weights of now
   * @returns the weights to go back to, if the updates are to be taken back
   */
  updated(lossOf: LossOf, weights: () => readonly AdapterState[]): readonly AdapterState[] | null {
    this.#updates++;
    const accepted = this.#accepted;
    if (this.#updates < this.config.every || this.#held.length < LEAST || accepted === null) return null;
    this.#updates = 0;
    const losses = this.#held.map((example) => lossOf(example));
    if (this.#worse(losses.map((loss, i) => loss - this.#acceptedLoss(this.#held[i]!, accepted, lossOf)))) {
      this.#rejected++;
      return accepted;
    }
    this.#promoted++;
    this.#take(weights());
    for (const [i, example] of this.#held.entries()) this.#keepLoss(example, losses[i]!);
    return null;
  }

  /** The weights of now are good by decree: after a rollback by hand, or a consolidation. */
  accept(weights: () => readonly AdapterState[]): void {
    if (this.#accepted === null) return;
    this.#updates = 0;
    this.#take(weights());
  }

  restore(state: GuardState): void {
    this.#offered = state.offered;
    this.#updates = state.updates;
    this.#promoted = state.promoted;
    this.#rejected = state.rejected;
    this.#held = state.held.map(copyOf);
    this.#accepted = state.accepted;
    this.#acceptedLosses.clear();
  }

  #take(weights: readonly AdapterState[]): void {
    this.#accepted = weights;
    this.#acceptedLosses.clear();
  }

  #acceptedLoss(example: Example, accepted: readonly AdapterState[], lossOf: LossOf): number {
    const known = this.#acceptedLosses.get(example);
    if (known !== undefined) return known;
    const loss = lossOf(example, accepted);
    this.#keepLoss(example, loss);
    return loss;
  }

  #keepLoss(example: Example, loss: number): void {
    if (example.signal.kind === "choice") this.#acceptedLosses.set(example, loss);
  }

  /** Whether the mean of paired differences is above 0 by `strictness` standard errors. */
  #worse(differences: readonly number[]): boolean {
    const n = differences.length;
    const mean = differences.reduce((sum, d) => sum + d, 0) / n;
    const variance = differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / (n - 1);
    return mean > 0 && mean > this.config.strictness * Math.sqrt(variance / n);
  }
}
