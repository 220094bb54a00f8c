import { checkAllFinite, checkCount, checkFloats } from "./base/check.js";
import { MicroLoraError } from "./base/errors.js";
import { writeUnit } from "./base/unit.js";
import type { Pointer } from "./kernels/contract.js";
import { type Runtime, sharedRuntime } from "./kernels/runtime.js";
import { sphericalKMeans } from "./learn/spherical-k-means.js";

export type DocumentId = string | number;

export interface SearchHit {
  readonly id: DocumentId;
  /** Cosine of query and document. */
  readonly score: number;
}

/** Document embeddings, made once and searched by every user: nothing in it depends on what anyone learned. */
export class EmbeddingIndex {
  readonly dimensions: number;
  /** @internal */
  readonly runtime: Runtime;
  readonly #ids: readonly DocumentId[];
  readonly #views = new Map<DocumentId, Float32Array>();
  readonly #rows: ReadonlyMap<DocumentId, number>;
  readonly #vectors: Pointer;
  #disposed = false;

  private constructor(runtime: Runtime, documents: readonly (readonly [DocumentId, Float32Array])[]) {
    this.runtime = runtime;
    this.dimensions = documents[0]?.[1]?.length ?? 0;
    this.#ids = documents.map(([id]) => id);
    this.#rows = new Map(this.#ids.map((id, row) => [id, row]));
    for (const [row, [id, vector]] of documents.entries()) {
      checkFloats(vector, this.dimensions, `document ${id}`);
      checkAllFinite(vector, `document ${id}`);
      if (this.#rows.get(id) !== row) refuse(`document ${id}`, "is there twice", "Give each document an id of its own");
    }
    this.#vectors = runtime.allocate(documents.length * this.dimensions);
    for (const [row, [id, vector]] of documents.entries()) {
      writeUnit(vector, runtime.f32, (this.#vectors >>> 2) + row * this.dimensions, `document ${id}`);
    }
  }

  /**
   * @param documents pairs of id and embedding, all of one length; they are copied and brought to unit length
   * @throws MicroLoraError `shape-mismatch`, `not-finite`, `invalid-config` for an id given twice, `memory-full`
   */
  static async create(
    documents: Iterable<readonly [DocumentId, Float32Array]>,
    options: { readonly runtime?: Runtime } = {},
  ): Promise<EmbeddingIndex> {
    return new EmbeddingIndex(options.runtime ?? (await sharedRuntime()), [...documents]);
  }

  /** Number of documents. */
  get size(): number {
    return this.#ids.length;
  }

  /**
   * The k documents nearest to a vector by cosine, nearest first; equal ones in the order they were given in.
   * @param query [dimensions], of any length but zero
   */
  search(query: Float32Array, k: number): SearchHit[] {
    this.#checkLive();
    checkCount(k, Number.MAX_SAFE_INTEGER, "k");
    if (this.size === 0) return [];
    checkFloats(query, this.dimensions, "query");
    const { kernels, scratch, f32 } = this.runtime;
    const input = scratch.input.reserve(this.dimensions);
    writeUnit(query, f32, input >>> 2, "query");
    const scores = scratch.rows.reserve(this.size);
    kernels.project(this.#vectors, input, scores, this.size, this.dimensions);
    const best = topRows(f32.subarray(scores >>> 2, (scores >>> 2) + this.size), Math.min(k, this.size));
    return best.map((row) => ({ id: this.#ids[row]!, score: f32[(scores >>> 2) + row]! }));
  }

  /**
   * The directions that the documents cluster in, unit vectors by spherical k-means: what the slow weights of a
   * `Personalizer` tell its queries apart by. At most `count`; the same seed gives the same ones.
   */
  directions(count: number, seed = 0): Float32Array[] {
    this.#checkLive();
    checkCount(count, this.size, "count");
    const vectors = { pointer: this.#vectors, rows: this.size, n: this.dimensions };
    return sphericalKMeans(this.runtime, vectors, count, seed);
  }

  /** @internal Where a document's unit vector lies. @throws MicroLoraError `unknown-document` */
  pointerOf(id: DocumentId): Pointer {
    this.#checkLive();
    const row = this.#rows.get(id);
    if (row === undefined) {
      throw new MicroLoraError(
        "unknown-document",
        "id",
        `${id} is not in the index`,
        "Pass ids that the index was made with",
      );
    }
    return this.#vectors + 4 * row * this.dimensions;
  }

  /** @internal The document's unit vector: the same live view each time, since views are dear to make. */
  viewOf(id: DocumentId): Float32Array {
    const pointer = this.pointerOf(id);
    let view = this.#views.get(id);
    if (view === undefined) {
      view = this.runtime.view(pointer, this.dimensions);
      this.#views.set(id, view);
    }
    return view;
  }

  /** Frees the memory; any use after that is refused. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.runtime.free(this.#vectors);
  }

  #checkLive(): void {
    if (this.#disposed) throw new MicroLoraError("disposed", "index", "it was disposed of", "Create it again");
  }
}

/** Rows of the k highest scores, highest first: an insertion into a short sorted list, which few scores reach. */
function topRows(scores: Float32Array, k: number): number[] {
  const rows: number[] = [];
  if (k === 0) return rows;
  for (let row = 0; row < scores.length; row++) {
    const score = scores[row]!;
    if (rows.length === k && score <= scores[rows[k - 1]!]!) continue;
    let at = rows.length === k ? k - 1 : rows.length;
    while (at > 0 && scores[rows[at - 1]!]! < score) {
      rows[at] = rows[at - 1]!;
      at--;
    }
    rows[at] = row;
  }
  return rows;
}

function refuse(where: string, problem: string, remedy: string): never {
  throw new MicroLoraError("invalid-config", where, problem, remedy);
}
