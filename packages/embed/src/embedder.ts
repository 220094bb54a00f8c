import { EmbedError } from "./errors.js";
import { readWeights } from "./weights.js";
import { createWordPiece } from "./word-piece.js";

/** What a caller may choose about an embedder. */
export interface EmbedderOptions {
  /** Width of the vectors, from 1 to that of the weights, which is the default; components come in order of importance. */
  readonly dimensions?: number;
  /** Tokens of a text that count; the rest is not read (default 512). */
  readonly maxTokens?: number;
}

/** Turns texts into unit vectors whose dot product says how alike in meaning they are. */
export interface TextEmbedder {
  readonly dimensions: number;

  /**
   * The embedding of a text: [dimensions], of unit length, or all zeros if no token of the text is known.
   *
   * Case and accents do not count, nor do lone surrogates. At most `maxTokens` tokens are read, from the first
   * 64 * `maxTokens` UTF-16 units.
   *
   * @throws EmbedError `not-a-string`
   */
  embed(text: string): Float32Array;

  /**
   * Writes the embedding of a text over `out` and returns it.
   *
   * @param out [dimensions]
   * @throws EmbedError `not-a-string`, `wrong-length`
   */
  embedInto(text: string, out: Float32Array): Float32Array;

  /**
   * The embeddings of many texts, side by side in one buffer.
   *
   * @returns one view [dimensions] a text, in order
   * @throws EmbedError `not-a-string`
   */
  embedBatch(texts: readonly string[]): Float32Array[];
}

const DEFAULT_MAX_TOKENS = 512;
const UNITS_PER_TOKEN = 64;

/**
 * Builds an embedder from the bytes of a weights file.
 *
 * A text's embedding is the sum of its tokens' vectors, scaled to unit length.
 *
 * @param bytes kept and viewed, not copied
 * @throws EmbedError `invalid-option`, or what {@link readWeights} throws
 */
export function createEmbedder(bytes: Uint8Array, options: EmbedderOptions = {}): TextEmbedder {
  const { dimensions: width, vocabulary, scales, codes } = readWeights(bytes);
  const dimensions = integerOption("dimensions", options.dimensions ?? width, width);
  const maxTokens = integerOption("maxTokens", options.maxTokens ?? DEFAULT_MAX_TOKENS, 2 ** 24);
  const tokenizer = createWordPiece(vocabulary);
  const sum = new Float64Array(dimensions);

  function add(id: number): void {
    const scale = scales[id]!;
    const row = id * width;
    for (let k = 0; k < dimensions; k++) sum[k]! += scale * codes[row + k]!;
  }

  function embedInto(text: string, out: Float32Array): Float32Array {
    if (typeof text !== "string") throw notAString(text);
    if (out.length !== dimensions) throw wrongLength(out.length, dimensions);
    sum.fill(0);
    tokenizer.forEachToken(text.slice(0, maxTokens * UNITS_PER_TOKEN), maxTokens, add);
    let squares = 0;
    for (let k = 0; k < dimensions; k++) squares += sum[k]! * sum[k]!;
    const inverse = squares > 0 ? 1 / Math.sqrt(squares) : 0;
    for (let k = 0; k < dimensions; k++) out[k] = sum[k]! * inverse;
    return out;
  }

  return {
    dimensions,
    embed: (text) => embedInto(text, new Float32Array(dimensions)),
    embedInto,
    embedBatch(texts) {
      const all = new Float32Array(texts.length * dimensions);
      return texts.map((text, i) => embedInto(text, all.subarray(i * dimensions, (i + 1) * dimensions)));
    },
  };
}

function integerOption(name: string, value: number, most: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new EmbedError("invalid-option", name, `got ${String(value)}`, `Give an integer from 1 to ${most}`);
}

function notAString(value: unknown): EmbedError {
  return new EmbedError("not-a-string", "text", `got ${value === null ? "null" : typeof value}`, "Give a string");
}

function wrongLength(length: number, dimensions: number): EmbedError {
  return new EmbedError("wrong-length", "out", `length ${length}`, `Give a Float32Array of length ${dimensions}`);
}
