import type { DocumentId, Vector } from "microlora";
import { refuse, SearchError } from "../base/errors.js";
import { checkId, nameOf } from "../base/ids.js";
import { type CheckedEmbedder, floatsOf } from "../embedder/embedder.js";

/**
 * A document: a text, which is its own id; or an id with a text, or with a vector that was made before.
 * @typeParam Payload kept beside a document, and given back in hits
 */
export type SearchDocument<Id extends DocumentId = string, Payload = unknown> =
  | (string extends NoInfer<Id> ? string : never)
  | { readonly id: Id; readonly text: string; readonly vector?: undefined; readonly payload?: Payload }
  | {
      readonly id: Id;
      readonly text?: string;
      /** The embedding of the document, by the embedder of the search [dimensions]. */
      readonly vector: Vector;
      readonly payload?: Payload;
    };

/** Widens literal id types: `1 | 2` becomes `number`, so that later documents may use other ids. */
export type Widened<Id extends DocumentId> = Id extends string ? string : Id extends number ? number : bigint;

/** A document on its way into an index. */
export interface Entry<Id extends DocumentId, Payload> {
  readonly id: Id;
  readonly vector: Float32Array;
  readonly payload: Payload | undefined;
}

/**
 * Embeds documents, and checks all of them before any is stored.
 * @throws SearchError `invalid-argument`, `duplicate-document`, `wrong-embedding`
 */
export async function readDocuments<Id extends DocumentId, Payload>(
  documents: Iterable<SearchDocument<Id, Payload>>,
  embedder: CheckedEmbedder,
): Promise<Entry<Id, Payload>[]> {
  if (typeof documents === "string" || typeof Object(documents)[Symbol.iterator] !== "function") {
    refuse("documents", documents, "Pass a list of texts, or of { id, text, payload }");
  }
  const records = [...documents].map((document, i) => recordOf(document, i));
  const seen = new Set<Id>();
  for (const { id } of records) {
    if (seen.has(id)) throw duplicate(id);
    seen.add(id);
  }
  const texts = records.flatMap(({ text, vector }) => (vector === undefined ? [text!] : []));
  const embedded = (await embedder.embed(texts)).values();
  const entries = records.map(({ id, vector, payload }) => {
    return { id, vector: vector ?? embedded.next().value!, payload };
  });
  const width = entries.length === 0 ? 0 : texts.length > 0 ? await embedder.dimensions() : entries[0]!.vector.length;
  for (const { id, vector } of entries) {
    if (vector.length === width) continue;
    const problem = `is ${vector.length} wide, and ${width} was expected`;
    throw new SearchError("wrong-embedding", nameOf(id), problem, "Use the embedder of the search for all documents");
  }
  return entries;
}

interface Record<Id, Payload> {
  readonly id: Id;
  readonly text: string | undefined;
  readonly vector: Float32Array | undefined;
  readonly payload: Payload | undefined;
}

function recordOf<Id extends DocumentId, Payload>(
  document: SearchDocument<Id, Payload>,
  i: number,
): Record<Id, Payload> {
  if (typeof document === "string") {
    return { id: document as string as Id, text: document, vector: undefined, payload: undefined };
  }
  if (typeof document !== "object" || document === null) {
    return refuse(`documents[${i}]`, document, "Pass a text, or { id, text, payload }");
  }
  const { id, text, vector: given, payload } = document;
  checkId(id, `documents[${i}].id`);
  const vector = given === undefined ? undefined : floatsOf(given);
  if (given !== undefined && vector === undefined) {
    refuse(`documents[${i}].vector`, given, "Pass a Float32Array or a list of numbers");
  }
  if (vector?.every(Number.isFinite) === false) {
    refuse(`documents[${i}].vector`, Number.NaN, "Pass finite numbers");
  }
  if (vector === undefined && typeof text !== "string")
    refuse(`documents[${i}].text`, text, "Pass a text, or a vector");
  return { id, text, vector, payload };
}

export function duplicate(id: DocumentId): SearchError {
  return new SearchError(
    "duplicate-document",
    nameOf(id),
    "is there already",
    "Remove it first, or give it its own id",
  );
}
