import { checkFinite, withDefaults } from "../base/check.js";
import { refusal, shown } from "../base/errors.js";
import type { Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";
import { placeItems, scoreItems } from "../learner/feedback/scores.js";
import { distinct, type Item, idOf, vectorOfItem } from "./items.js";
import type { DocumentId, VectorIndex } from "./vector-index.js";

/** One candidate with its score. */
export interface Ranked<Candidate> {
  /** The candidate as it was given. */
  readonly item: Candidate;
  /** Cosine to the transformed query, and what was learned of items and of your own scores beside it. */
  readonly score: number;
}

/** Options of `Personalizer.rank`. */
export interface RankOptions {
  /** Where candidates that are ids are found; an `EmbeddingIndex` also tells how much the query leaves open. */
  readonly index?: VectorIndex;
  /** A score of your own for each candidate, such as its popularity or that of a keyword search; its weight is learned. */
  readonly scores?: readonly number[];
}

const OPTIONS = { index: undefined, scores: undefined } as const;

/** Candidates whose vectors were looked up. */
export interface Candidates<Candidate> {
  readonly ids: readonly (DocumentId | null)[];
  /** The caller's scores, standardised. */
  readonly scores: Float64Array | null;
  /** @param y the output that they are compared with; @param offsets what their scores have beside the cosine */
  sorted(y: Pointer, offsets: Float64Array | undefined): Ranked<Candidate>[];
}

/** @throws MicroLoraError `unknown-document`, `invalid-config`, `shape-mismatch`, `not-finite` */
export function readCandidates<Candidate extends Item>(
  runtime: Runtime,
  dimensions: number,
  candidates: readonly Candidate[],
  options: RankOptions,
): Candidates<Candidate> {
  const { index, scores: given } = withDefaults(OPTIONS, options, "options");
  if (!Array.isArray(candidates)) {
    throw refusal("invalid-argument", "candidates", `are ${shown(candidates)}`, "Pass a list of ids or embeddings");
  }
  const { items, scores } = distinct(candidates as readonly Candidate[], given);
  const vectors = items.map((item, i) => vectorOfItem(item, index, dimensions, `candidates[${i}]`));
  return {
    ids: items.map(idOf),
    scores,
    sorted(y, offsets) {
      const placed = placeItems(runtime, "cosine", vectors, dimensions);
      scoreItems(runtime, "cosine", y, dimensions, placed, placed.scores);
      const ranked = items.map((item, i) => ({
        item: item as Candidate,
        score: placed.scores[i]! + (offsets?.[i] ?? 0),
      }));
      for (const { score } of ranked) checkFinite(score, "score");
      return ranked.sort((a, b) => b.score - a.score);
    },
  };
}
