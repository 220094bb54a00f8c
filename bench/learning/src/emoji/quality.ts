import { mean, type Query } from "../first-run.js";
import type { EmojiSetup } from "./setup.js";

/** Queries to vectors that are searched for. */
export interface QueryTransform {
  transform(query: Float32Array): Float32Array;
}

/** Results that are looked at; what comes later counts as not found. */
const DEPTH = 100;

/** Mean reciprocal rank of what is meant among all documents, 0 beyond the first 100. */
export function mrrOf({ corpus, index }: EmojiSetup, learner: QueryTransform, queries: readonly Query[]): number {
  return mean(
    queries.map(({ keyword, wanted }) => {
      const hits = index.search(learner.transform(corpus.keywordVectors[keyword]!), DEPTH);
      const at = hits.findIndex(({ id }) => wanted.includes(Number(id)));
      return at === -1 ? 0 : 1 / (at + 1);
    }),
  );
}
