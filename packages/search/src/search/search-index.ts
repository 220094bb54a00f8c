import { type DocumentId, EmbeddingIndex, type SearchHit, type Vector } from "microlora";
import { SearchError } from "../base/errors.js";
import { type Awaitable, floatsOf } from "../embedder/embedder.js";
import type { Entry } from "./documents.js";

/** Which documents count. */
export type DocumentFilter<Id extends DocumentId, Payload> = (id: Id, payload: Payload | undefined) => boolean;

/**
 * Where documents are: an `EmbeddingIndex`, or an index library or a database behind these methods, at once or by promise.
 * @typeParam Filter what `search` is told of documents that count, such as a condition of the database
 */
export interface SearchIndex<Id extends DocumentId = DocumentId, Payload = unknown, Filter = unknown> {
  /** The k documents nearest to a vector by cosine, nearest first. */
  search(
    query: Float32Array,
    k: number,
    options: { readonly filter?: Filter },
  ): Awaitable<readonly SearchHit<Id, Payload>[]>;
  /** A document's embedding; undefined if there is no such document. It is asked for what was shown, when somebody clicks. */
  vectorOf(id: Id): Awaitable<Vector | undefined>;
  /** Adds a document; without it, documents are added elsewhere. */
  add?(id: Id, vector: Float32Array, payload?: Payload): unknown;
  /** Removes a document; false if it was not there. */
  remove?(id: Id): unknown;
}

/** Vectors of documents that are still there, by id. */
export async function vectorsOf<Id extends DocumentId>(
  index: SearchIndex<Id>,
  ids: readonly Id[],
): Promise<Map<Id, Float32Array>> {
  const vectors = await Promise.all(ids.map((id) => index.vectorOf(id)));
  const found = new Map<Id, Float32Array>();
  for (const [i, id] of ids.entries()) {
    const vector = floatsOf(vectors[i]);
    if (vector !== undefined) found.set(id, vector);
  }
  return found;
}

/**
 * Adds documents, all or none.
 * @throws SearchError `duplicate-document`, `unsupported-index`; what the index throws
 */
export async function addAll<Id extends DocumentId, Payload>(
  index: SearchIndex<Id, Payload>,
  entries: readonly Entry<Id, Payload>[],
): Promise<void> {
  if (entries.length === 0) return;
  if (index.add === undefined) refuseIndex("add");
  const added: Id[] = [];
  try {
    for (const { id, vector, payload } of entries) {
      await index.add(id, vector, payload);
      added.push(id);
    }
  } catch (error) {
    for (const id of added) await index.remove?.(id);
    throw error;
  }
}

/** Removes documents. @returns how many were there @throws SearchError `unsupported-index`; what the index throws */
export async function removeAll<Id extends DocumentId>(index: SearchIndex<Id>, ids: readonly Id[]): Promise<number> {
  if (index.remove === undefined) refuseIndex("remove");
  let removed = 0;
  for (const id of ids) if ((await index.remove(id)) !== false) removed++;
  return removed;
}

/** @throws SearchError `unsupported-index` */
export function checkIndex(index: unknown): void {
  if (index instanceof EmbeddingIndex) return;
  for (const name of ["search", "vectorOf"]) if (typeof Object(index)[name] !== "function") refuseIndex(name);
}

function refuseIndex(name: string): never {
  const remedy = "Add and remove documents where they are stored, or pass an index with this method";
  throw new SearchError("unsupported-index", "index", `has no ${name}`, remedy);
}
