import { checkAllFinite, checkCount, refuseConfig, withDefaults } from "../base/check.js";
import { refusal, shown } from "../base/errors.js";
import { writeUnit } from "../base/unit.js";
import type { Arena } from "../kernels/arena.js";
import type { Pointer } from "../kernels/contract.js";
import { checkRuntime, type Runtime, sharedRuntime } from "../kernels/runtime.js";
import { decodeIndex, encodeIndex, type MeasuredMargin } from "./index-codec.js";
import { EQUAL, marginOf, type QueryShape, quantileOf, TENTH } from "./margin.js";
import { sphericalKMeans } from "./spherical-k-means.js";
import { topK } from "./top-k.js";
import {
  asFloats,
  type DocumentId,
  type EmbedderInfo,
  type SearchHit,
  toFloats,
  type VectorIndex,
  widthOf,
} from "./vector-index.js";

/** An embedding as callers may have it. */
export type Vector = Float32Array | readonly number[];

/** A document: its id, its embedding, and what is kept beside it. */
export type IndexEntry<Id extends DocumentId, Payload> = readonly [id: Id, vector: Vector, payload?: Payload];

/** Options of `EmbeddingIndex.create`. */
export interface IndexOptions {
  /** Memory and kernels to live in; the shared runtime by default. */
  readonly runtime?: Runtime;
  /** Width of the embeddings; that of the first document by default. */
  readonly dimensions?: number;
  /** The embedder whose vectors these are: its width is checked, and users of another embedder are refused. */
  readonly embedder?: EmbedderInfo;
}

/** Options of `EmbeddingIndex.search`. */
export interface SearchOptions<Id extends DocumentId, Payload> {
  /** Which documents count; all of them by default. */
  readonly filter?: (id: Id, payload: Payload | undefined) => boolean;
}

const OPTIONS = { runtime: undefined, dimensions: undefined, embedder: undefined } as const;

/** A stretch of rows in the memory. */
interface Chunk {
  readonly pointer: Pointer;
  readonly first: number;
  readonly rows: number;
}

/** Rows of a chunk at least, where there is room for them. */
const CHUNK_ROWS = 64;

/** Documents that are tried as queries, to learn how far documents stand out: fewer of a large index, where each takes long. */
const SAMPLES = { most: 256, least: 32, products: 2e6 };

/** The share of documents that may change before it is measured again. */
const STALE = 0.1;

/** Queries whose shapes are kept, since a click follows its search. */
const KEPT_SHAPES = 8;

/** What is known of the document in a row. */
interface Entry<Id, Payload> {
  readonly id: Id;
  readonly payload: Payload | undefined;
  /** Place in the order in which documents were added. */
  readonly order: number;
  /** The unit vector where it lies, kept since views are dear to make. */
  readonly view: Float32Array;
}

/**
 * Document embeddings, searched by every user: nothing in it depends on what anyone learned.
 * @typeParam Id of the documents @typeParam Payload kept beside each document
 */
export class EmbeddingIndex<Id extends DocumentId = DocumentId, Payload = unknown> implements VectorIndex<Id> {
  /** @internal */
  readonly runtime: Runtime;
  /** Fingerprint of the embedder, if it is known. */
  readonly baseModel: string | null;
  readonly #arena: Arena;
  readonly #chunks: Chunk[] = [];
  readonly #rows = new Map<Id, number>();
  readonly #entries: (Entry<Id, Payload> | undefined)[] = [];
  readonly #holes: number[] = [];
  #dimensions: number;
  #added = 0;
  #margin: MeasuredMargin | null = null;
  #shapes: { readonly query: Float32Array; readonly shape: QueryShape<Id> }[] = [];
  #closed = false;

  private constructor(runtime: Runtime, dimensions: number, baseModel: string | null) {
    this.runtime = runtime;
    this.baseModel = baseModel;
    this.#dimensions = dimensions;
    this.#arena = runtime.arena(this);
  }

  /**
   * An index of documents, whose embeddings are copied and brought to unit length.
   * @throws MicroLoraError `shape-mismatch`, `not-finite`, `invalid-config` for an option that does not exist or an id given twice,
   * `memory-full`
   */
  static async create<Id extends DocumentId, Payload = unknown>(
    documents: Iterable<IndexEntry<Id, Payload>> = [],
    options: IndexOptions = {},
  ): Promise<EmbeddingIndex<Id, Payload>> {
    const { runtime = await sharedRuntime() } = withDefaults(OPTIONS, options, "options");
    return EmbeddingIndex.createSync(documents, { ...options, runtime });
  }

  /** As `create`, at once, in a runtime that is there. */
  static createSync<Id extends DocumentId, Payload = unknown>(
    documents: Iterable<IndexEntry<Id, Payload>>,
    options: IndexOptions & { readonly runtime: Runtime },
  ): EmbeddingIndex<Id, Payload> {
    const { runtime, dimensions, embedder } = withDefaults(OPTIONS, options, "options");
    checkRuntime(runtime);
    const width = widthOf(dimensions, embedder) ?? 0;
    const index = new EmbeddingIndex<Id, Payload>(runtime, width, embedder?.fingerprint ?? null);
    try {
      const list = listOf(documents);
      index.#reserve(list);
      for (const [id, vector, payload] of list) index.add(id, vector, payload);
    } catch (error) {
      index.close();
      throw error;
    }
    return index;
  }

  /** What `toBytes` wrote. @throws MicroLoraError `not-a-checkpoint`, `corrupt-checkpoint`, `wrong-base`, … */
  static async fromBytes<Id extends DocumentId, Payload = unknown>(
    bytes: Uint8Array,
    options: Omit<IndexOptions, "dimensions"> = {},
  ): Promise<EmbeddingIndex<Id, Payload>> {
    const { entries, embedder, margin } = savedIn<Id, Payload>(bytes, options);
    const index = await EmbeddingIndex.create<Id, Payload>(entries, { ...options, embedder });
    index.#margin = margin;
    return index;
  }

  /** The same as {@link fromBytes} at once, with a runtime at hand. @throws MicroLoraError as `fromBytes` */
  static fromBytesSync<Id extends DocumentId, Payload = unknown>(
    bytes: Uint8Array,
    options: Omit<IndexOptions, "dimensions"> & { readonly runtime: Runtime },
  ): EmbeddingIndex<Id, Payload> {
    const { entries, embedder, margin } = savedIn<Id, Payload>(bytes, options);
    const index = EmbeddingIndex.createSync<Id, Payload>(entries, { ...options, embedder });
    index.#margin = margin;
    return index;
  }

  /** Width of the embeddings; 0 while nobody has said it. */
  get dimensions(): number {
    return this.#dimensions;
  }

  /** Number of documents. */
  get size(): number {
    return this.#rows.size;
  }

  /** Whether there is a document of this id. */
  has(id: Id): boolean {
    return this.#rows.has(id);
  }

  /** The payload of a document; undefined if it has none, or is not there. */
  payloadOf(id: Id): Payload | undefined {
    const row = this.#rows.get(id);
    return row === undefined ? undefined : this.#entries[row]!.payload;
  }

  /** The ids, in the order in which their documents were added. */
  ids(): Id[] {
    return this.#inOrder().map(({ id }) => id);
  }

  /** Adds a document. @throws MicroLoraError `invalid-config` for an id that is there, `shape-mismatch`, `not-finite`, `memory-full` */
  add(id: Id, vector: Vector, payload?: Payload): void {
    this.#checkLive();
    checkId(id);
    if (this.#rows.has(id)) {
      throw refusal("invalid-config", nameOf(id), "is there already", "Replace it, or give it an id of its own");
    }
    this.#put(id, vector, payload);
  }

  /** Puts a document in the place of the one with its id, or adds it. @throws MicroLoraError as `add` */
  replace(id: Id, vector: Vector, payload?: Payload): void {
    this.#checkLive();
    checkId(id);
    this.#put(id, vector, payload);
  }

  /** Removes a document; whether it was there. */
  remove(id: Id): boolean {
    this.#checkLive();
    const row = this.#rows.get(id);
    if (row === undefined) return false;
    this.#rows.delete(id);
    this.#entries[row]!.view.fill(0);
    this.#entries[row] = undefined;
    this.#holes.push(row);
    this.#changed();
    return true;
  }

  /**
   * The k documents nearest to a vector by cosine, nearest first; equal ones in the order in which they were added.
   * @param query [dimensions], of any length but zero
   * @throws MicroLoraError `shape-mismatch`, `not-finite`, `out-of-range`, `disposed`
   */
  search(query: Vector, k: number, options: SearchOptions<Id, Payload> = {}): SearchHit<Id, Payload>[] {
    return this.searchWith(query, k, options, NO_BONUSES);
  }

  /** @internal As `search`, where some documents have more than their cosine as their score. */
  searchWith(
    query: Vector,
    k: number,
    { filter }: SearchOptions<Id, Payload>,
    bonuses: ReadonlyMap<DocumentId, number>,
  ): SearchHit<Id, Payload>[] {
    this.#checkLive();
    checkCount(k, Number.MAX_SAFE_INTEGER, "k");
    if (filter !== undefined && typeof filter !== "function") refuseConfig("filter", filter, "Pass a function");
    const floats = toFloats(query, this.#dimensions, "query");
    if (this.size === 0) return [];
    const scores = this.#score(floats);
    for (const [id, bonus] of bonuses) {
      const row = this.#rows.get(id as Id);
      if (row !== undefined) scores[row]! += bonus;
    }
    const entries = this.#entries;
    const accepts = (row: number) => {
      const entry = entries[row];
      return entry !== undefined && (filter === undefined || filter(entry.id, entry.payload));
    };
    const best = this.#best(scores, k, accepts);
    return best.map((row) => hitOf(entries[row]!, scores[row]!));
  }

  /** @internal What the cosines of a query with all documents say of it. @param query [dimensions] */
  shapeOf(query: Float32Array): QueryShape<Id> {
    this.#checkLive();
    const known = this.#shapes.find((kept) => isSame(kept.query, query));
    if (known !== undefined) return known.shape;
    const shape = this.#measure(query);
    this.#shapes.push({ query: query.slice(), shape });
    if (this.#shapes.length > KEPT_SHAPES) this.#shapes.shift();
    return shape;
  }

  /** @internal The margin that nearly all documents exceed as queries, measured when it is first asked for. */
  ownMargin(): number {
    this.#checkLive();
    if (this.#margin !== null && this.#margin.changes <= STALE * this.#margin.size) return this.#margin.value;
    const { size } = this;
    const { most, least, products } = SAMPLES;
    const samples = Math.min(most, Math.max(least, Math.floor(products / size)));
    const stride = Math.max(1, Math.floor(size / samples));
    const tried = this.#inOrder().filter((_, i) => i % stride === 0 && i / stride < samples);
    const value = quantileOf(tried.map(({ view }) => marginOf(this.#measure(view), 0)));
    this.#margin = { value, size, changes: 0 };
    return value;
  }

  /** @internal The id of the document in a place, in no order but always the same one. @param place in [0, size) */
  idAt(place: number): Id {
    if (this.#holes.length > 0) return this.#inOrder()[place]!.id;
    return this.#entries[place]!.id;
  }

  /** The document's embedding at unit length, a copy [dimensions]; undefined if it is not there. */
  vectorOf(id: Id): Float32Array | undefined {
    return this.viewOf(id)?.slice();
  }

  /**
   * The directions that the documents cluster in, unit vectors by spherical k-means: the slow weights of a `Personalizer` can tell queries
   * apart by them. At most `count`; the same seed gives the same ones.
   */
  directions(count: number, seed = 0): Float32Array[] {
    this.#checkLive();
    checkCount(count, this.size, "count");
    const n = this.#dimensions;
    const pointer = this.#arena.allocate(this.size * n);
    try {
      for (const [i, { id }] of this.#inOrder().entries()) {
        this.runtime.f32.set(this.viewOf(id)!, (pointer >>> 2) + i * n);
      }
      return sphericalKMeans(this.runtime, { pointer, rows: this.size, n }, count, seed);
    } finally {
      this.#arena.free(pointer);
    }
  }

  /** The documents as a file: ids, embeddings and payloads, which must be JSON. @throws MicroLoraError `invalid-argument` */
  toBytes(): Uint8Array {
    this.#checkLive();
    const documents = this.#inOrder().map(({ id, payload }) => [id, this.viewOf(id)!, payload] as const);
    const { baseModel } = this;
    return encodeIndex({ documents, dimensions: this.#dimensions, baseModel, margin: this.#margin });
  }

  /** @internal The document's unit vector where it lies, good until the next change of the index. */
  viewOf(id: Id): Float32Array | undefined {
    this.#checkLive();
    const row = this.#rows.get(id);
    return row === undefined ? undefined : this.#entries[row]!.view;
  }

  /** Frees the memory; any use after that is refused. */
  close(): void {
    this.#closed = true;
    this.#arena.close();
  }

  /** As `close`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Writes a document into a row: its own, a hole, or a new one. All that may be refused comes first. */
  #put(id: Id, vector: Vector, payload: Payload | undefined): void {
    const where = nameOf(id);
    const floats = asFloats(vector);
    if (floats === undefined) {
      throw refusal("shape-mismatch", where, `is ${shown(vector)}`, "Pass a Float32Array or a list of numbers");
    }
    const width = this.#dimensions || floats.length;
    toFloats(floats, width, where);
    checkAllFinite(floats, where);
    const known = this.#rows.get(id);
    const row = known ?? this.#holes.at(-1) ?? this.#entries.length;
    this.#dimensions = width;
    this.#grow(row + 1);
    this.#reserveSearch(row + 1);
    writeUnit(floats, this.runtime.f32, this.#pointerOf(row) >>> 2, where);
    if (known === undefined && row === this.#holes.at(-1)) this.#holes.pop();
    const order = known === undefined ? this.#added++ : this.#entries[known]!.order;
    this.#rows.set(id, row);
    this.#entries[row] = { id, payload, order, view: this.runtime.view(this.#pointerOf(row), width) };
    this.#changed();
  }

  #changed(): void {
    this.#shapes = [];
    if (this.#margin !== null) this.#margin = { ...this.#margin, changes: this.#margin.changes + 1 };
  }

  /** Room for documents that are about to come, in one chunk. */
  #reserve(list: readonly IndexEntry<Id, Payload>[]): void {
    const first = asFloats(list[0]?.[1]);
    if (first === undefined || first.length === 0) return;
    if (this.#dimensions === 0) this.#dimensions = first.length;
    this.#addChunk(list.length);
    this.#reserveSearch(list.length);
  }

  /** Room for so many rows. @throws MicroLoraError `memory-full` */
  #grow(rows: number): void {
    const last = this.#chunks.at(-1);
    const known = last === undefined ? 0 : last.first + last.rows;
    if (rows <= known) return;
    for (let wanted = Math.max(CHUNK_ROWS, known >>> 1); wanted > 1; wanted >>>= 1) {
      try {
        this.#addChunk(wanted);
        return;
      } catch {}
    }
    this.#addChunk(1);
  }

  #addChunk(rows: number): void {
    const last = this.#chunks.at(-1);
    const first = last === undefined ? 0 : last.first + last.rows;
    this.#chunks.push({ pointer: this.#arena.allocate(rows * this.#dimensions), first, rows });
  }

  #pointerOf(row: number): Pointer {
    const chunk = this.#chunks.find(({ first, rows }) => row < first + rows)!;
    return chunk.pointer + 4 * (row - chunk.first) * this.#dimensions;
  }

  #measure(query: Float32Array): QueryShape<Id> {
    const scores = this.#score(query);
    const entries = this.#entries;
    const accepts = (row: number) => entries[row] !== undefined;
    let best = this.#best(scores, TENTH, accepts);
    let same = best.filter((row) => scores[row]! >= EQUAL).length;
    while (same > 0 && best.length === same && best.length < this.size) {
      best = this.#best(scores, 2 * best.length, accepts);
      same = best.filter((row) => scores[row]! >= EQUAL).length;
    }
    if (same > 0) best = this.#best(scores, TENTH + same, accepts);
    let sum = 0;
    for (let row = 0; row < scores.length; row++) sum += scores[row]!;
    const equal = best.slice(0, same).map((row) => entries[row]!.id);
    return { size: this.size, sum, top: best.map((row) => scores[row]!), equal };
  }

  /** The k best rows, the best first. */
  #best(scores: Float32Array, k: number, accepts: (row: number) => boolean): number[] {
    const entries = this.#entries;
    const precedes = (a: number, b: number) => entries[a]!.order < entries[b]!.order;
    return topK({ scores, precedes, accepts }, Math.min(k, this.size));
  }

  /** Room in which a search computes, so that one is never refused. @throws MicroLoraError `memory-full` */
  #reserveSearch(rows: number): { readonly scores: Pointer; readonly input: Pointer } {
    const { scratch } = this.runtime;
    return { scores: scratch.rows.reserve(rows), input: scratch.input.reserve(this.#dimensions) };
  }

  /** The cosine of each row, holes 0, in scratch memory. */
  #score(query: Float32Array): Float32Array {
    const { kernels, f32 } = this.runtime;
    const { scores, input } = this.#reserveSearch(this.#entries.length);
    writeUnit(query, f32, input >>> 2, "query");
    for (const { pointer, first, rows } of this.#chunks) {
      const used = Math.min(rows, this.#entries.length - first);
      if (used > 0) kernels.project(pointer, input, scores + 4 * first, used, this.#dimensions);
    }
    return f32.subarray(scores >>> 2, (scores >>> 2) + this.#entries.length);
  }

  #inOrder(): Entry<Id, Payload>[] {
    return this.#entries.filter((entry) => entry !== undefined).sort((a, b) => a.order - b.order);
  }

  #checkLive(): void {
    if (this.#closed) throw refusal("disposed", "index", "it was closed", "Create it again");
  }
}

/** What a saved index holds, and the embedder that it was made with or is opened with. */
function savedIn<Id extends DocumentId, Payload>(bytes: Uint8Array, options: Omit<IndexOptions, "dimensions">) {
  const { documents, dimensions, baseModel, margin } = decodeIndex<Id, Payload>(bytes, options?.embedder);
  const fingerprint = options?.embedder?.fingerprint ?? baseModel;
  const embedder = { dimensions, ...(fingerprint !== null && { fingerprint }) };
  return { entries: documents as readonly IndexEntry<Id, Payload>[], embedder, margin };
}

const NO_BONUSES: ReadonlyMap<DocumentId, number> = new Map();

function isSame(a: Float32Array, b: Float32Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function hitOf<Id extends DocumentId, Payload>(
  { id, payload }: Entry<Id, Payload>,
  score: number,
): SearchHit<Id, Payload> {
  return payload === undefined ? { id, score } : { id, score, payload };
}

function listOf<Entry>(documents: Iterable<Entry>): readonly Entry[] {
  const isIterable = typeof (documents as Partial<Iterable<Entry>> | null)?.[Symbol.iterator] === "function";
  const list = isIterable && typeof documents !== "string" ? [...documents] : undefined;
  if (list?.every(Array.isArray) === true) return list;
  throw refusal("invalid-argument", "documents", `are ${shown(documents)}`, "Pass pairs of id and embedding");
}

function nameOf(id: DocumentId): string {
  return `document ${String(id).slice(0, 80)}`;
}

function checkId(id: unknown): void {
  if (typeof id === "string" || typeof id === "bigint" || Number.isFinite(id)) return;
  throw refusal(
    "invalid-argument",
    "id",
    `is ${shown(id)}`,
    "Give each document a string, a finite number or a bigint as its id",
  );
}
