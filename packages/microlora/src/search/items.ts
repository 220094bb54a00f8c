import { checkFinite } from "../base/check.js";
import { refusal, shown } from "../base/errors.js";
import { unitOf } from "../base/unit.js";
import { EmbeddingIndex, type Vector } from "./embedding-index.js";
import { type DocumentId, toFloats, type VectorIndex } from "./vector-index.js";

/** A document: its id, where an index finds it; its embedding [dimensions]; or both. */
export type Item<Id extends DocumentId = DocumentId> = Id | Vector | { readonly id: Id; readonly vector: Vector };

/** What tells items apart: their ids, or else the objects that they are. */
export function keyOf<Id extends DocumentId>(item: Item<Id>): unknown {
  return idOf(item) ?? item;
}

/** The id of an item; null for an embedding without one. */
export function idOf<Id extends DocumentId>(item: Item<Id>): Id | null {
  if (typeof item !== "object") return item;
  return item !== null && "id" in item ? item.id : null;
}

/**
 * An item as a unit vector: its own, or that of the index, where it lies.
 * @throws MicroLoraError `unknown-document`, `invalid-config`, `shape-mismatch`, `not-finite`
 */
export function vectorOfItem<Id extends DocumentId>(
  item: Item<Id>,
  index: VectorIndex<Id> | undefined,
  dimensions: number,
  where: string,
): Float32Array {
  if (typeof item === "object" && item !== null) {
    return unitOf(toFloats("vector" in item ? item.vector : item, dimensions, where), where);
  }
  if (index instanceof EmbeddingIndex) return ofIndex(index.viewOf(item), item, dimensions, where);
  if (typeof index?.vectorOf !== "function") {
    const problem = index === undefined ? "is missing" : "has no vectorOf";
    throw refusal("invalid-config", "index", problem, "Pass the index that the ids belong to, or embeddings");
  }
  return unitOf(ofIndex(index.vectorOf(item), item, dimensions, where), where);
}

function ofIndex(vector: unknown, id: DocumentId, dimensions: number, where: string): Float32Array {
  if (vector instanceof Float32Array && vector.length === dimensions) return vector;
  if (vector !== undefined) return toFloats(vector, dimensions, `${where}, of the index`);
  throw refusal("unknown-document", where, `${shown(id)} is not in the index`, "Pass ids that the index has");
}

/** Each item once, in the order in which they come first, with its score. @throws MicroLoraError `shape-mismatch`, `not-finite` */
export function distinct<Id extends DocumentId>(
  items: readonly Item<Id>[],
  scores: readonly number[] | undefined,
): { readonly items: readonly Item<Id>[]; readonly scores: Float64Array | null } {
  if (scores !== undefined) checkScores(scores, items.length);
  const places = new Map<unknown, number>();
  for (const [i, item] of items.entries()) {
    const key = keyOf(item);
    if (!places.has(key)) places.set(key, i);
  }
  const first = places.size === items.length ? null : [...places.values()];
  return {
    items: first === null ? items : first.map((i) => items[i]!),
    scores: scores === undefined ? null : standardised(first === null ? scores : first.map((i) => scores[i]!)),
  };
}

function checkScores(scores: unknown, length: number): asserts scores is readonly number[] {
  if (!Array.isArray(scores) || scores.length !== length) {
    const problem = Array.isArray(scores) ? `are ${scores.length}, for ${length} items` : `are ${shown(scores)}`;
    throw refusal("shape-mismatch", "scores", problem, "Pass one number for each item");
  }
  for (const [i, score] of scores.entries()) checkFinite(score as number, `scores[${i}]`);
}

/** Scores less their mean, over their deviation, so that any scale will do; zeros where all are equal. */
function standardised(scores: readonly number[]): Float64Array {
  const most = scores.reduce((max, score) => Math.max(max, Math.abs(score)), 0) || 1;
  const scaled = Float64Array.from(scores, (score) => score / most);
  const mean = scaled.reduce((sum, score) => sum + score, 0) / scaled.length;
  const deviation = Math.sqrt(scaled.reduce((sum, score) => sum + (score - mean) ** 2, 0) / scaled.length);
  return scaled.map((score) => (deviation === 0 ? 0 : (score - mean) / deviation));
}
