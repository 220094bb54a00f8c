import type { EmbeddedCorpus } from "./corpus.js";
import type { Query } from "./task.js";

export interface Metrics {
  /** Mean reciprocal rank. */
  readonly mrr: number;
  /** Share of ranks up to 10. */
  readonly top10: number;
}

/** What an evaluation needs of a learner. */
export interface QueryTransform {
  transform(query: Float32Array): Float32Array;
}

export const IDENTITY: QueryTransform = { transform: (query) => query };

/** Ranks documents for queries, over all documents and not only the ones shown. */
export class Evaluator {
  readonly #corpus: EmbeddedCorpus;
  readonly #matrix: Float32Array;
  readonly #scores: Float32Array;
  readonly #dimensions: number;

  constructor(corpus: EmbeddedCorpus) {
    this.#corpus = corpus;
    this.#dimensions = corpus.documentVectors[0]?.length ?? 0;
    this.#matrix = new Float32Array(4 * Math.ceil(corpus.documents.length / 4) * this.#dimensions);
    this.#scores = new Float32Array(corpus.documents.length);
    for (const [row, vector] of corpus.documentVectors.entries()) this.#matrix.set(vector, row * this.#dimensions);
  }

  /** On queries that a user means in one sense. */
  onQueries(learner: QueryTransform, queries: readonly Query[]): Metrics {
    return metricsOf(queries.map(({ keyword, wanted }) => this.rank(learner, keyword, wanted)));
  }

  /** On keywords that mean whatever emoji carry them. */
  onKeywords(learner: QueryTransform, keywords: readonly number[]): Metrics {
    return metricsOf(keywords.map((keyword) => this.rank(learner, keyword, this.#corpus.keywords[keyword]!.relevant)));
  }

  /** Rank of the first wanted document, from 1. */
  rank(learner: QueryTransform, keyword: number, wanted: readonly number[]): number {
    this.#score(learner.transform(this.#corpus.keywordVectors[keyword]!));
    let best = Number.NEGATIVE_INFINITY;
    for (const row of wanted) best = Math.max(best, this.#scores[row]!);
    let rank = 1;
    for (const score of this.#scores) if (score > best) rank++;
    return rank;
  }

  /** Four rows at a time, so that the sums do not wait for each other; the matrix is padded with rows of zeros. */
  #score(query: Float32Array): void {
    const matrix = this.#matrix;
    const n = this.#dimensions;
    for (let row = 0; row < this.#scores.length; row += 4) {
      const first = row * n;
      let a = 0;
      let b = 0;
      let c = 0;
      let d = 0;
      for (let i = 0; i < n; i++) {
        const q = query[i]!;
        a += matrix[first + i]! * q;
        b += matrix[first + n + i]! * q;
        c += matrix[first + 2 * n + i]! * q;
        d += matrix[first + 3 * n + i]! * q;
      }
      this.#scores[row] = a;
      this.#scores[row + 1] = b;
      this.#scores[row + 2] = c;
      this.#scores[row + 3] = d;
    }
  }
}

export function metricsOf(ranks: readonly number[]): Metrics {
  let reciprocal = 0;
  let top10 = 0;
  for (const rank of ranks) {
    reciprocal += 1 / rank;
    if (rank <= 10) top10++;
  }
  return { mrr: reciprocal / ranks.length, top10: top10 / ranks.length };
}
