import type { EmbeddingIndex, Personalizer } from "microlora";
import type { EmbeddedCorpus } from "./corpus.js";
import { TASK } from "./hyperparameters.js";
import type { Query } from "./task.js";

/** One click as a personalizer takes it. */
export interface SeenClick {
  readonly query: Float32Array;
  readonly chosen: number;
  readonly shown: readonly number[];
  readonly index: EmbeddingIndex;
}

/** What the user does with one query: clicks the first shown result that is wanted; null if none is shown. */
export function clickOf(
  corpus: EmbeddedCorpus,
  index: EmbeddingIndex,
  learner: Pick<Personalizer, "search">,
  query: Query,
): SeenClick | null {
  const vector = corpus.keywordVectors[query.keyword]!;
  const shown = learner.search(vector, index, TASK.shown).map(({ id }) => Number(id));
  const chosen = shown.find((row) => query.wanted.includes(row));
  return chosen === undefined ? null : { query: vector, chosen, shown, index };
}

/**
 * Lets the user search each query once, in order, and the learner learn from each click at once.
 * @param onClick told the number of clicks so far
 * @returns the clicks
 */
export function learnFrom(
  corpus: EmbeddedCorpus,
  index: EmbeddingIndex,
  learner: Personalizer,
  queries: readonly Query[],
  { limit = Number.POSITIVE_INFINITY, onClick = (_: number): void => {} } = {},
): SeenClick[] {
  const clicks: SeenClick[] = [];
  for (const query of queries) {
    if (clicks.length >= limit) break;
    const click = clickOf(corpus, index, learner, query);
    if (click === null) continue;
    learner.learn(click);
    clicks.push(click);
    onClick(clicks.length);
  }
  return clicks;
}
