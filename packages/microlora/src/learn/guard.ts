import type { AdapterState } from "../adapter/lora-adapter.js";
import { checkRange } from "../base/check.js";
import type { Example } from "./example.js";

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

export interface GuardState<Held = Example> {
  readonly offered: number;
  readonly updates: number;
  readonly promoted: number;
  readonly rejected: number;
  /** The oldest first. */
  readonly held: readonly Held[];
  /** The adapters as they were promoted last; null before the first update. */
  readonly accepted: readonly AdapterState[] | null;
}

/** What a kind of example needs in order to be held back. */
export interface Holding<Held> {
  /** A copy that shares nothing with the caller. @param spare one that is no longer wanted, whose arrays may hold the new one */
  copyOf(example: Held, spare?: Held): Held;
  /** Whether its loss under weights that do not change is always the same, so that it need not be computed again. */
  isConstant(example: Held): boolean;
}

/** A comparison that is due. */
export interface Check<Held> {
  /** Examples whose loss under the weights of now is wanted. */
  readonly held: readonly Held[];
  /** Those of them whose loss under the accepted weights is wanted too. */
  readonly unknown: readonly Held[];
  /** The adapters as they were promoted last. */
  readonly accepted: readonly AdapterState[];
}

/** Fewer than these cannot tell weights apart. */
const LEAST = 4;

/**
 * A promotion gate: recent feedback is held back, and the updates since the last check are kept only if they do not make the loss on
 * it worse, by a paired comparison: mean difference > strictness * its standard error takes them back.
 */
export class Guard<Held = Example> {
  readonly config: GuardConfig;
  readonly #holding: Holding<Held>;
  #offered = 0;
  #updates = 0;
  #promoted = 0;
  #rejected = 0;
  #held: Held[] = [];
  /** The one that left last. */
  #spare: Held | undefined;
  #accepted: readonly AdapterState[] | null = null;
  /** Losses under the accepted weights, where they are constant. */
  #acceptedLosses = new Map<Held, number>();

  constructor(config: GuardConfig, holding: Holding<Held>) {
    checkRange(config.hold, LEAST, 1024, "guard.hold");
    checkRange(config.share, 2, 1e6, "guard.share");
    checkRange(config.every, 1, 1e6, "guard.every");
    checkRange(config.strictness, 0, 100, "guard.strictness");
    this.config = config;
    this.#holding = holding;
  }

  /** A copy that shares no example with what goes on. */
  get state(): GuardState<Held> {
    return {
      offered: this.#offered,
      updates: this.#updates,
      promoted: this.#promoted,
      rejected: this.#rejected,
      held: this.#held.map((example) => this.#holding.copyOf(example)),
      accepted: this.#accepted,
    };
  }

  /** How many examples are held back, and how often updates were kept and taken back. */
  report(): { readonly held: number; readonly promoted: number; readonly rejected: number } {
    return { held: this.#held.length, promoted: this.#promoted, rejected: this.#rejected };
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

  /** Holds an example back; returns the one that leaves, to be learned from before the next one is held. */
  hold(example: Held): Held | undefined {
    this.#offered++;
    this.#held.push(this.#holding.copyOf(example, this.#spare));
    this.#spare = undefined;
    if (this.#held.length <= this.config.hold) return undefined;
    const leaving = this.#held.shift()!;
    this.#acceptedLosses.delete(leaving);
    this.#spare = leaving;
    return leaving;
  }

  /** Before the first update: what there is to go back to. */
  start(weights: readonly AdapterState[]): void {
    this.#accepted ??= weights;
  }

  /** After an update: what is to be compared, if it is time for it; `judge` takes the losses. */
  updated(): Check<Held> | null {
    this.#updates++;
    const accepted = this.#accepted;
    if (this.#updates < this.config.every || this.#held.length < LEAST || accepted === null) return null;
    this.#updates = 0;
    return { held: [...this.#held], unknown: this.#held.filter((each) => !this.#acceptedLosses.has(each)), accepted };
  }

  /**
   * Promotes the weights of now, or not.
   * @param losses of what `check` holds, under the weights of now; @param unknown of what it does not know, under the accepted ones
   * @param weights copies the weights of now
   * @returns the weights to go back to, if the updates are to be taken back
   */
  judge(
    { held, unknown: asked, accepted }: Check<Held>,
    losses: readonly number[],
    unknown: readonly number[],
    weights: () => readonly AdapterState[],
  ): readonly AdapterState[] | null {
    const told = new Map(asked.map((example, i) => [example, unknown[i]!]));
    for (const [example, loss] of told) this.#keepLoss(example, loss);
    if (this.#worse(losses.map((loss, i) => loss - (told.get(held[i]!) ?? this.#acceptedLosses.get(held[i]!)!)))) {
      this.#rejected++;
      return accepted;
    }
    this.#promoted++;
    this.#take(weights());
    for (const [i, example] of held.entries()) this.#keepLoss(example, losses[i]!);
    return null;
  }

  /** The weights of now are good by decree: after a rollback by hand, or a consolidation. */
  accept(weights: () => readonly AdapterState[]): void {
    if (this.#accepted === null) return;
    this.#updates = 0;
    this.#take(weights());
  }

  restore(state: GuardState<Held>): void {
    this.#offered = state.offered;
    this.#updates = state.updates;
    this.#promoted = state.promoted;
    this.#rejected = state.rejected;
    this.#held = state.held.map((example) => this.#holding.copyOf(example));
    this.#accepted = state.accepted;
    this.#acceptedLosses.clear();
  }

  #take(weights: readonly AdapterState[]): void {
    this.#accepted = weights;
    this.#acceptedLosses.clear();
  }

  #keepLoss(example: Held, loss: number): void {
    if (this.#holding.isConstant(example)) this.#acceptedLosses.set(example, loss);
  }

  /** Whether the mean of paired differences is above 0 by `strictness` standard errors. */
  #worse(differences: readonly number[]): boolean {
    const n = differences.length;
    const mean = differences.reduce((sum, d) => sum + d, 0) / n;
    const variance = differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / (n - 1);
    return mean > 0 && mean > this.config.strictness * Math.sqrt(variance / n);
  }
}
