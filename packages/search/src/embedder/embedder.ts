import type { Vector } from "microlora";
import { refuse, SearchError, shown } from "../base/errors.js";

/** A value, now or later. */
export type Awaitable<Value> = Value | Promise<Value>;

/** The embedding of a text. */
export type EmbedText = (text: string) => Awaitable<Vector>;

/** Anything that turns texts into vectors: an embedder of `@microlora/embed`, a hosted API, a model of your own. */
export type Embedder = {
  /** Width of the vectors; by default, that of the first one. */
  readonly dimensions?: number;
  /** A text that differs between embedders. What was learned with one embedder is refused with another; without it, nobody can tell. */
  readonly fingerprint?: string;
} & (
  | { readonly embed: EmbedText; readonly embedBatch?: undefined }
  | {
      readonly embed?: EmbedText;
      /** The embeddings of many texts, one each, in order. It is given at most 64 at a time. */
      readonly embedBatch: (texts: readonly string[]) => Awaitable<readonly Vector[]>;
    }
);

/** Texts at once: what hosted APIs take in one request. */
const BATCH = 64;

/** An embedder whose vectors are checked. */
export class CheckedEmbedder {
  readonly fingerprint: string | undefined;
  readonly #embedAll: (texts: readonly string[]) => Awaitable<readonly Vector[]>;
  #dimensions: number | undefined;

  constructor(embedder: Embedder | EmbedText) {
    const given: Embedder = typeof embedder === "function" ? { embed: embedder } : embedder;
    const isEmbedder = typeof given?.embed === "function" || typeof given?.embedBatch === "function";
    if (!isEmbedder) refuse("embedder", embedder, "Pass a function, or an object with `embed` or `embedBatch`");
    const { dimensions, fingerprint } = given;
    if (dimensions !== undefined && !(Number.isInteger(dimensions) && dimensions > 0)) {
      refuse("embedder.dimensions", dimensions, "Pass the width of the vectors, or leave it out");
    }
    if (fingerprint !== undefined && !(typeof fingerprint === "string" && fingerprint.length <= 200)) {
      refuse("embedder.fingerprint", fingerprint, "Pass a text of at most 200 characters");
    }
    this.#dimensions = dimensions;
    this.fingerprint = fingerprint;
    this.#embedAll =
      given.embedBatch !== undefined
        ? (texts) => given.embedBatch(texts)
        : (texts) => Promise.all(texts.map((text) => given.embed(text)));
  }

  /** Width of the vectors; a text is embedded to find out, if nobody has said it. */
  async dimensions(): Promise<number> {
    if (this.#dimensions === undefined) await this.embed(["dimensions"]);
    return this.#dimensions!;
  }

  /**
   * The embeddings of texts, one each, in order, copied.
   * @throws SearchError `wrong-embedding`, `invalid-argument` for what is not a text; what the embedder throws
   */
  async embed(texts: readonly string[]): Promise<Float32Array[]> {
    for (const text of texts) if (typeof text !== "string") refuse("text", text, "Pass a string");
    const all: Float32Array[] = [];
    for (let at = 0; at < texts.length; at += BATCH) {
      const some = texts.slice(at, at + BATCH);
      const vectors = await this.#embedAll(some);
      if (!Array.isArray(vectors) || vectors.length !== some.length) {
        const problem = `gave ${Array.isArray(vectors) ? `${vectors.length} vectors` : shown(vectors)} for ${some.length} texts`;
        throw new SearchError("wrong-embedding", "embedder", problem, "Return one vector for each text");
      }
      for (const [i, vector] of vectors.entries()) all.push(this.#checked(vector, some[i]!));
    }
    return all;
  }

  #checked(vector: unknown, text: string): Float32Array {
    const floats = floatsOf(vector);
    if (floats === undefined || floats.length === 0) {
      throw wrong(text, `is ${shown(vector)}`, "Return a list of numbers, or a Float32Array");
    }
    if (!floats.every(Number.isFinite)) throw wrong(text, "has a number that is not finite", "Return finite numbers");
    this.#dimensions ??= floats.length;
    if (floats.length === this.#dimensions) return floats;
    const problem = `is ${floats.length} wide, and ${this.#dimensions} was expected`;
    throw wrong(text, problem, "Use one embedder for all texts");
  }
}

/** A copy of a vector; undefined for what is not one. */
export function floatsOf(vector: unknown): Float32Array | undefined {
  const isVector =
    vector instanceof Float32Array ||
    vector instanceof Float64Array ||
    (Array.isArray(vector) && vector.every((each) => typeof each === "number"));
  return isVector ? Float32Array.from(vector as ArrayLike<number>) : undefined;
}

function wrong(text: string, problem: string, remedy: string): SearchError {
  return new SearchError("wrong-embedding", `embedding of ${shown(text)}`, problem, remedy);
}
