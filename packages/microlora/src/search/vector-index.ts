import { checkFloats, refuseConfig } from "../base/check.js";
import { refusal, shown } from "../base/errors.js";

/** A document's name in an index. */
export type DocumentId = string | number | bigint;

/** A document that a search found. @typeParam Payload what the index keeps beside a document */
export interface SearchHit<Id extends DocumentId = DocumentId, Payload = unknown> {
  /** The document's id. */
  readonly id: Id;
  /** Cosine of query and document. */
  readonly score: number;
  /** The document's payload, if it has one. */
  readonly payload?: Payload;
}

/** Where documents are found: an `EmbeddingIndex`, or anything else with these two, such as an index library or a database. */
export interface VectorIndex<Id extends DocumentId = DocumentId, Found = readonly SearchHit<Id>[]> {
  /** The k documents nearest to a query; may be a promise. */
  search(query: Float32Array, k: number): Found;
  /** A document's embedding [dimensions]; undefined if there is no such document. */
  vectorOf(id: Id): Float32Array | undefined;
}

/** What tells which embedder vectors come from: an embedder of `@microlora/embed`, or the same of your own. */
export interface EmbedderInfo {
  /** Width of its embeddings. */
  readonly dimensions: number;
  /** A text that differs between embedders; states are loaded for their own embedder only. */
  readonly fingerprint?: string;
}

/** A vector as float32, copied only if it is not one yet. @param length 0 for any @throws MicroLoraError `shape-mismatch` */
export function toFloats(value: unknown, length: number, where: string): Float32Array {
  const vector = asFloats(value);
  if (vector === undefined) {
    throw refusal("shape-mismatch", where, `is ${shown(value)}`, "Pass a Float32Array or a list of numbers");
  }
  if (length > 0) checkFloats(vector, length, where);
  return vector;
}

/** A vector of any length as float32; undefined for what is not one. */
export function asFloats(value: unknown): Float32Array | undefined {
  if (value instanceof Float32Array) return value;
  if (value instanceof Float64Array) return Float32Array.from(value);
  if (!Array.isArray(value)) return isFloatsOfOtherRealm(value) ? value : undefined;
  return value.every((each) => typeof each === "number") ? Float32Array.from(value) : undefined;
}

function isFloatsOfOtherRealm(value: unknown): value is Float32Array {
  return ArrayBuffer.isView(value) && Object.prototype.toString.call(value) === "[object Float32Array]";
}

/** The width that options tell, if they do. @throws MicroLoraError `invalid-config` */
export function widthOf(dimensions: number | undefined, embedder: EmbedderInfo | undefined): number | undefined {
  const width = dimensions ?? embedder?.dimensions;
  if (width === undefined) return undefined;
  if (!Number.isInteger(width) || width < 1 || width > 2 ** 20) {
    refuseConfig("dimensions", width, "Pass the width of your embeddings, an integer in [1, 1048576]");
  }
  if (embedder !== undefined && embedder.dimensions !== width) {
    refuseConfig("dimensions", width, `Leave it out: the embedder is ${shown(embedder.dimensions)} wide`);
  }
  return width;
}
