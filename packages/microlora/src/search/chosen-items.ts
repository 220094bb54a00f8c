import { log } from "../base/exact-math.js";
import type { DocumentId } from "./vector-index.js";

/** Items that were chosen, and how much that counts, as a checkpoint holds it. */
export interface ChosenItemsState {
  /** Of log2(1 + times chosen), in cosines; 0.1 at first. */
  readonly weight: number;
  /** How often each was chosen, the one chosen last at the end. */
  readonly counts: readonly (readonly [id: DocumentId, count: number])[];
}

/** Items that are remembered: the one that was not chosen for longest makes room. */
export const REMEMBERED = 128;

/** Longer names are not remembered. */
export const LONGEST_ID = 64;

const FIRST_WEIGHT = 0.1;
const LEARNING_RATE = 0.001;

/** The weight lies within +- this. */
export const MOST_WEIGHT = 1;

/** Of a user who has chosen nothing yet. */
export const NO_ITEMS: ChosenItemsState = { weight: FIRST_WEIGHT, counts: [] };

/** A memory of items: what was chosen often comes up for queries that are like those learned from. */
export class ChosenItems {
  #weight = FIRST_WEIGHT;
  readonly #counts = new Map<DocumentId, number>();

  /** Whether nothing was chosen yet. */
  get isEmpty(): boolean {
    return this.#counts.size === 0;
  }

  /** What an item's score gains: share * weight * log2(1 + times chosen). @param share of recall's routing */
  bonusOf(id: DocumentId | null, share: number): number {
    return share * this.#weight * this.often(id);
  }

  /** The gains of all items that are remembered. */
  bonuses(share: number): ReadonlyMap<DocumentId, number> {
    return new Map([...this.#counts.keys()].map((id) => [id, this.bonusOf(id, share)]));
  }

  /** log2(1 + times chosen) */
  often(id: DocumentId | null): number {
    const count = id === null ? undefined : this.#counts.get(id);
    return count === undefined ? 0 : log(1 + count) / Math.LN2;
  }

  /** The step of the weight. @param slope dLoss/dweight */
  learn(slope: number): void {
    this.#weight = clipped(this.#weight - LEARNING_RATE * slope);
  }

  /** Counts an item that was chosen. */
  choose(id: DocumentId): void {
    if (typeof id === "string" && id.length > LONGEST_ID) return;
    const count = this.#counts.get(id) ?? 0;
    this.#counts.delete(id);
    this.#counts.set(id, count + 1);
    if (this.#counts.size <= REMEMBERED) return;
    for (const oldest of this.#counts.keys()) {
      this.#counts.delete(oldest);
      return;
    }
  }

  exportState(): ChosenItemsState {
    return { weight: this.#weight, counts: [...this.#counts] };
  }

  /** Takes a checked state. */
  restore({ weight, counts }: ChosenItemsState): void {
    this.#weight = weight;
    this.#counts.clear();
    for (const [id, count] of counts) this.#counts.set(id, count);
  }
}

/** A weight within its limits. */
export function clipped(weight: number): number {
  return Math.min(MOST_WEIGHT, Math.max(-MOST_WEIGHT, weight));
}
