import { crc32 } from "./crc32.js";
import { EmbedError, shown } from "./errors.js";
import { readWeights, type Weights } from "./weights.js";
import { createWordPiece } from "./word-piece.js";

/** Options of an embedder. */
export interface EmbedderOptions {
  /** Width of the vectors, from 1 to the weights' own width (default). Components come in order of importance. */
  readonly dimensions?: number;
  /** Number of tokens of a text that are read; 512 by default. */
  readonly maxTokens?: number;
}

/** Turns texts into unit vectors whose dot product says how alike in meaning they are. */
export interface TextEmbedder {
  /** Width of the vectors. */
  readonly dimensions: number;

  /**
   * Tells this embedder's vectors from others': two embedders of one fingerprint give a text the same vector, on every platform,
   * except for texts longer than the smaller `maxTokens`. Say it with what is learned from the vectors (`baseModel`).
   */
  readonly fingerprint: string;

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
  checkOptions(options);
  const weights = readWeights(bytes);
  const { dimensions: width, vocabulary, scales, codes } = weights;
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

  let fingerprint: string | undefined;
  return {
    dimensions,
    get fingerprint() {
      fingerprint ??= fingerprintOf(weights, dimensions);
      return fingerprint;
    },
    embed: (text) => embedInto(text, new Float32Array(dimensions)),
    embedInto,
    embedBatch(texts) {
      const all = new Float32Array(texts.length * dimensions);
      return texts.map((text, i) => embedInto(text, all.subarray(i * dimensions, (i + 1) * dimensions)));
    },
  };
}

/** Changes when the same weights give other vectors: by another tokenizer, say. */
const ALGORITHM = "static-wordpiece-1";

/** Over the weights that count: a file that was cut to these dimensions has the same. */
function fingerprintOf({ dimensions: width, scales, codes, vocabularyBytes }: Weights, dimensions: number): string {
  const bytes = new Uint8Array(codes.buffer, codes.byteOffset, codes.length);
  let crc = crc32(vocabularyBytes);
  crc = crc32(new Uint8Array(scales.buffer), crc);
  for (let row = 0; row < scales.length; row++) {
    crc = crc32(bytes.subarray(row * width, row * width + dimensions), crc);
  }
  return `${ALGORITHM}:${scales.length}x${dimensions}:${crc.toString(16).padStart(8, "0")}`;
}

function checkOptions(options: EmbedderOptions): void {
  const names: readonly string[] = ["dimensions", "maxTokens"];
  if (typeof options !== "object" || options === null) {
    throw new EmbedError("invalid-option", "options", `got ${shown(options)}`, "Pass an object");
  }
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    throw new EmbedError("invalid-option", name, "there is no such option", `There are ${names.join(" and ")}`);
  }
}

function integerOption(name: string, value: number, most: number): number {
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new EmbedError("invalid-option", name, `got ${shown(value)}`, `Give an integer from 1 to ${most}`);
}

function notAString(value: unknown): EmbedError {
  return new EmbedError("not-a-string", "text", `got ${value === null ? "null" : typeof value}`, "Give a string");
}

function wrongLength(length: number, dimensions: number): EmbedError {
  return new EmbedError("wrong-length", "out", `length ${length}`, `Give a Float32Array of length ${dimensions}`);
}
