import { crc32 } from "./crc32.js";
import { EmbedError, type EmbedErrorCode } from "./errors.js";

/** The token vectors of a static embedder: row t is `scales[t] * codes[t * dimensions ...]`. */
export interface Weights {
  readonly dimensions: number;
  /** Token of each row. */
  readonly vocabulary: readonly string[];
  /** [vocabulary.length] */
  readonly scales: Float32Array;
  /** [vocabulary.length, dimensions], row-major. */
  readonly codes: Int8Array;
}

/*
 * The file, little-endian:
 *
 *    0  "MLEM"
 *    4  u32  CRC-32 of all bytes from 8 on
 *    8  u32  version
 *   12  u32  rows
 *   16  u32  dimensions
 *   20  u32  bytes of the vocabulary
 *   24  f32  scales [rows]
 *       i8   codes [rows, dimensions]
 *       utf8 vocabulary: one token a line, no newline after the last
 */
const MAGIC = 0x4d454c4d;
const VERSION = 1;
const HEADER_BYTES = 24;
const CHECKED_FROM = 8;
const MAX_ROWS = 1 << 20;
const MAX_DIMENSIONS = 4096;

/**
 * Reads a weights file, checking its whole layout and checksum before any of it is used.
 *
 * The result views `bytes`, which must not change afterwards.
 *
 * @throws EmbedError `not-weights`, `unsupported-version`, `truncated-weights`, `corrupt-weights`, `checksum-mismatch`
 */
export function readWeights(bytes: Uint8Array): Weights {
  if (!(bytes instanceof Uint8Array)) throw refusal("not-weights", "expected a Uint8Array");
  if (bytes.length < HEADER_BYTES) throw refusal("truncated-weights", `${bytes.length} bytes hold no header`);
  const header = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  const field = (at: number) => header.getUint32(at, true);
  if (field(0) !== MAGIC) throw refusal("not-weights", "the file does not start with MLEM");
  if (field(8) !== VERSION) throw refusal("unsupported-version", `version ${field(8)}, expected ${VERSION}`);

  const layout = checkLayout(field(12), field(16), field(20), bytes.length);
  const crc = crc32(bytes.subarray(CHECKED_FROM));
  if (crc !== field(4)) throw refusal("checksum-mismatch", `CRC-32 is ${hex(crc)}, the file says ${hex(field(4))}`);

  const { rows, dimensions, codesAt, vocabularyAt } = layout;
  const vocabulary = new TextDecoder().decode(bytes.subarray(vocabularyAt)).split("\n");
  if (vocabulary.length !== rows) throw refusal("corrupt-weights", `${vocabulary.length} tokens for ${rows} rows`);
  const scales = new Float32Array(rows);
  new Uint8Array(scales.buffer).set(bytes.subarray(HEADER_BYTES, codesAt));
  if (!scales.every((scale) => scale >= 0 && scale < Infinity)) throw refusal("corrupt-weights", "a scale is no size");
  return {
    dimensions,
    vocabulary,
    scales,
    codes: new Int8Array(bytes.buffer, bytes.byteOffset + codesAt, rows * dimensions),
  };
}

function checkLayout(rows: number, dimensions: number, vocabularyBytes: number, length: number) {
  if (rows < 1 || rows > MAX_ROWS) throw refusal("corrupt-weights", `${rows} rows, expected 1 to ${MAX_ROWS}`);
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
    throw refusal("corrupt-weights", `${dimensions} dimensions, expected 1 to ${MAX_DIMENSIONS}`);
  }
  const codesAt = HEADER_BYTES + 4 * rows;
  const vocabularyAt = codesAt + rows * dimensions;
  const expected = vocabularyAt + vocabularyBytes;
  if (length < expected) throw refusal("truncated-weights", `${length} bytes, the header asks for ${expected}`);
  if (length > expected) throw refusal("corrupt-weights", `${length} bytes, the header asks for ${expected}`);
  return { rows, dimensions, codesAt, vocabularyAt };
}

function refusal(code: EmbedErrorCode, problem: string): EmbedError {
  return new EmbedError(code, "weights", problem, "Use the weights file that came with this version of the package");
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}
