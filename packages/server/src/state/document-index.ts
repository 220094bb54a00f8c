import type { Step, UserState } from "@microlora/store";
import { type EmbedderInfo, EmbeddingIndex, MicroLoraError, type Runtime } from "microlora";
import { decodeDocuments, encodeDocuments, type StoredDocument } from "./document-codec.js";

/** What changes an index; the log of documents holds one of these kinds in each event. */
export const INDEX_KINDS = ["put", "remove"] as const;
type IndexKind = (typeof INDEX_KINDS)[number];

/** The version of the payloads, which each event names. */
export const INDEX_VERSION = "1";

/** What an index keeps beside a vector. */
type Beside = Omit<StoredDocument, "vector" | "id">;

export interface DocumentIndexConfig {
  readonly runtime: Runtime;
  readonly embedder: EmbedderInfo;
}

/** JavaScript objects of a document, beside its vector and its text. */
const OBJECT_BYTES = 400;

/** The documents of one index as the state of a pool: it is folded from what was put and removed. */
export class DocumentIndex implements UserState {
  readonly embeddings: EmbeddingIndex<string, Beside>;
  readonly #dimensions: number;
  #textBytes = 0;

  constructor({ runtime, embedder }: DocumentIndexConfig, snapshot: Uint8Array | null) {
    this.#dimensions = embedder.dimensions;
    this.embeddings = EmbeddingIndex.createSync<string, Beside>([], { runtime, embedder });
    try {
      if (snapshot !== null) this.put(snapshot);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get byteLength(): number {
    return this.embeddings.size * (4 * this.#dimensions + OBJECT_BYTES) + this.#textBytes;
  }

  documentOf(id: string): StoredDocument | undefined {
    const vector = this.embeddings.vectorOf(id);
    return vector && { id, vector, ...this.embeddings.payloadOf(id) };
  }

  apply({ kind, payload }: Step): void {
    if (!Object.hasOwn(APPLY, kind)) {
      throw new MicroLoraError("unsupported-version", "event", `has the kind ${kind}`, "Use the version that wrote it");
    }
    APPLY[kind as IndexKind](this, payload);
  }

  /** @internal All documents or none. */
  put(payload: Uint8Array): void {
    const documents = decodeDocuments(payload, this.#dimensions);
    const before = documents.map(({ id }) => this.documentOf(id));
    let done = 0;
    try {
      for (const document of documents) {
        this.#putOne(document);
        done++;
      }
    } catch (error) {
      for (let i = done - 1; i >= 0; i--) {
        this.removeOne(documents[i]!.id);
        if (before[i] !== undefined) this.#putOne(before[i]!);
      }
      throw error;
    }
  }

  /** @internal */
  removeOne(id: string): void {
    this.#textBytes -= textBytesOf(this.embeddings.payloadOf(id));
    this.embeddings.remove(id);
  }

  #putOne({ id, vector, ...beside }: StoredDocument): void {
    const before = textBytesOf(this.embeddings.payloadOf(id));
    this.embeddings.replace(id, vector, beside);
    this.#textBytes += textBytesOf(beside) - before;
  }

  toBytes(): Uint8Array {
    const documents = this.embeddings.ids().map((id) => this.documentOf(id)!);
    return encodeDocuments(documents, this.#dimensions);
  }

  close(): void {
    this.embeddings.close();
  }
}

const APPLY: { readonly [K in IndexKind]: (index: DocumentIndex, payload: Uint8Array) => void } = {
  put: (index, payload) => index.put(payload),
  remove: (index, payload) => index.removeOne(new TextDecoder().decode(payload)),
};

function textBytesOf(beside: Beside | undefined): number {
  if (beside === undefined) return 0;
  return 2 * ((beside.text?.length ?? 0) + (beside.payload === undefined ? 0 : JSON.stringify(beside.payload).length));
}

/** The options of a pool of indexes. */
export function documentIndexes(config: DocumentIndexConfig) {
  return {
    create: (snapshot: Uint8Array | null) => new DocumentIndex(config, snapshot),
    kernels: config.runtime.kernels.name,
    version: INDEX_VERSION,
  };
}
