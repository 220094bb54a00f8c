import type { AdapterState } from "../adapter/lora-adapter.js";
import { checkRange } from "../base/check.js";
import type { Example } from "./example.js";

/** How a guard holds feedback back and compares. */
export interface GuardConfig {
  /** Recent examples that are held back to check with; 16 by default. An example that leaves them is learned from then. */
  readonly hold: number;
  /** Every how many feedbacks one is held back; 8 by default. */
  readonly share: number;
  /** Updates from one check to the next; 64 by default. */
  readonly every: number;
  /** Standard errors by which the loss on held-back examples has to be worse before updates are taken back; 1 by default. */
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

/** How one kind of example is held back. */
export interface Holding<Held> {
  /** A copy that shares nothing with the caller. @param spare an example that is no longer needed, whose arrays may hold the new one */
  copyOf(example: Held, spare?: Held): Held;
  /** Whether its loss depends on the weights alone, so that it need not be computed again while they stay. */
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
 * A promotion gate: recent feedback is held back, and the updates since the last check are kept only if they do not make its loss
 * worse. The comparison is paired: a mean difference above strictness * its standard error takes the updates back.
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

  /** The weights to go back to; null before the first update. */
  get accepted(): readonly AdapterState[] | null {
    return this.#accepted;
  }

  /** Whether the next example is to be held back. */
  get holdsNext(): boolean {
    return this.#offered % this.config.share === this.config.share - 1;
  }

  /** Whether the next update may be followed by a comparison. */
  get isDue(): boolean {
    return this.#updates + 1 >= this.config.every;
  }

  /** An example was learned from at once. */
  passed(): void {
    this.#offered++;
  }

  /** The example that leaves when the next one is held back: it is learned from then. */
  get leaving(): Held | undefined {
    return this.#held.length < this.config.hold ? undefined : this.#held[0];
  }

  /** Holds an example back, in the place of the one that leaves. */
  hold(example: Held): void {
    this.#offered++;
    this.#held.push(this.#holding.copyOf(example, this.#spare));
    this.#spare = undefined;
    if (this.#held.length <= this.config.hold) return;
    const leaving = this.#held.shift()!;
    this.#acceptedLosses.delete(leaving);
    this.#spare = leaving;
  }

  /** Before the first update: the weights to go back to. */
  start(weights: readonly AdapterState[]): void {
    this.#accepted ??= weights;
  }

  /** After an update: the comparison that is due, if one is; `judge` takes its losses. */
  updated(): Check<Held> | null {
    this.#updates++;
    const accepted = this.#accepted;
    if (this.#updates < this.config.every || this.#held.length < LEAST || accepted === null) return null;
    this.#updates = 0;
    return { held: [...this.#held], unknown: this.#held.filter((each) => !this.#acceptedLosses.has(each)), accepted };
  }

  /**
   * Promotes the weights of now, or rejects them.
   * @param losses of the examples in `check.held` under the weights of now; @param unknown of those in `check.unknown` under the accepted
   * weights; a loss that is not finite is Infinity
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
    const before = held.map((example) => told.get(example) ?? this.#acceptedLosses.get(example)!);
    if (this.#worse(losses, before)) {
      this.#rejected++;
      return accepted;
    }
    this.#promoted++;
    this.#take(weights());
    for (const [i, example] of held.entries()) this.#keepLoss(example, losses[i]!);
    return null;
  }

  /** The weights of now could not be evaluated where the accepted ones can, so that they were left. */
  left(): void {
    this.#rejected++;
    this.#updates = 0;
  }

  /** Takes the weights of now without a comparison: after a rollback by hand, or a consolidation. */
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

  /** Whether the mean of paired differences is above 0 by `strictness` standard errors, or a loss is no longer finite. */
  #worse(losses: readonly number[], before: readonly number[]): boolean {
    if (losses.some((loss, i) => !Number.isFinite(loss) && Number.isFinite(before[i]))) return true;
    const differences = losses.map((loss, i) => loss - before[i]!).filter(Number.isFinite);
    const n = differences.length;
    const mean = differences.reduce((sum, d) => sum + d, 0) / n;
    const variance = differences.reduce((sum, d) => sum + (d - mean) ** 2, 0) / (n - 1);
    return mean > 0 && mean > this.config.strictness * Math.sqrt(variance / n);
  }
}
