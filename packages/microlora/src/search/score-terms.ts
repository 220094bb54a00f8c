import { unsignedZero } from "../adapter/config.js";
import { ChosenItems, type ChosenItemsState, clipped } from "./chosen-items.js";
import type { PreparedFeedback } from "./prepared.js";
import type { DocumentId } from "./vector-index.js";

/** What scores have beside the cosine, and what ratings are compared with, as a checkpoint holds it. */
export interface ScoreTermsState {
  /** null where they are off. */
  readonly items: ChosenItemsState | null;
  /** Weight of the caller's own scores, in [-1, 1]; 0 at first. */
  readonly scoreWeight: number;
  /** Sum and number of the ratings so far. */
  readonly ratings: { readonly sum: number; readonly count: number };
}

/** How far a query may be moved from what it says. */
export interface Openness {
  /** Share of recall's routing that kept queries have. */
  readonly share: number;
  /** Share of what is general that is let through. */
  readonly gate: number;
}

/** Step of the weight of the caller's scores. */
const LEARNING_RATE = 0.001;

/** Ratings of 0 that stand before the first one, so that it is not all there is to compare with. */
const RATINGS_BEFORE = 2;

/** score(d) = cosine + share a log2(1 + times chosen) + gate c score of the caller's own, with learned a and c. */
export class ScoreTerms {
  /** null where they are off. */
  readonly items: ChosenItems | null;
  #scoreWeight = 0;
  #sum = 0;
  #count = 0;

  constructor(hasItems: boolean) {
    this.items = hasItems ? new ChosenItems() : null;
  }

  /**
   * What the scores of items have beside their cosines; undefined where that is nothing.
   * @param scores the caller's own, standardised
   */
  offsets(
    ids: readonly (DocumentId | null)[],
    scores: Float64Array | null,
    { share, gate }: Openness,
  ): Float64Array | undefined {
    const { items } = this;
    const remembers = items !== null && !items.isEmpty;
    if (!remembers && (scores === null || this.#scoreWeight === 0)) return undefined;
    return Float64Array.from(ids, (id, i) => {
      const own = scores === null ? 0 : gate * this.#scoreWeight * scores[i]!;
      return own + (remembers ? items.bonusOf(id, share) : 0);
    });
  }

  /** The steps of both weights. @param slopes dLoss/dscore of each item */
  steps(
    ids: readonly (DocumentId | null)[],
    scores: Float64Array | null,
    slopes: Float64Array,
    { share, gate }: Openness,
  ): PreparedFeedback["steps"] {
    let ofItems = 0;
    let ofScores = 0;
    for (const [i, id] of ids.entries()) {
      ofItems += slopes[i]! * (this.items?.often(id) ?? 0);
      if (scores !== null) ofScores += slopes[i]! * scores[i]!;
    }
    return { items: unsignedZero(share * ofItems), scores: unsignedZero(LEARNING_RATE * gate * ofScores) };
  }

  /** By how much an item is liked more than what was rated before, or less. */
  likingOf(rating: number): number {
    return rating - this.#sum / (this.#count + RATINGS_BEFORE);
  }

  learn({ steps, chosen, rating, weight }: PreparedFeedback): void {
    this.items?.learn(weight * steps.items);
    this.#scoreWeight = clipped(this.#scoreWeight - weight * steps.scores);
    if (chosen !== null && weight > 0) this.items?.choose(chosen);
    if (rating === null) return;
    this.#sum += rating;
    this.#count++;
  }

  exportState(): ScoreTermsState {
    return {
      items: this.items?.exportState() ?? null,
      scoreWeight: this.#scoreWeight,
      ratings: { sum: this.#sum, count: this.#count },
    };
  }

  /** Takes a checked state. */
  restore({ items, scoreWeight, ratings }: ScoreTermsState): void {
    if (items !== null) this.items?.restore(items);
    this.#scoreWeight = scoreWeight;
    this.#sum = ratings.sum;
    this.#count = ratings.count;
  }
}
