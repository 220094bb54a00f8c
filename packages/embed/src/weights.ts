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
  /** The vocabulary as it is in the file: one token a line. */
  readonly vocabularyBytes: Uint8Array;
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
const VERSION = 1;
export const HEADER_BYTES = 24;
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
  const foreign = foreignContent(bytes, "");
  if (foreign !== undefined) throw refusal("not-weights", `${foreign}, not the weights`);
  const { rows, dimensions, codesAt, vocabularyAt, length, storedCrc } = readLayout(bytes);
  if (bytes.length < length) {
    throw refusal("truncated-weights", `${bytes.length} bytes, the header asks for ${length}`);
  }
  if (bytes.length > length) throw refusal("corrupt-weights", `${bytes.length} bytes, the header asks for ${length}`);
  const crc = crc32(bytes.subarray(CHECKED_FROM));
  if (crc !== storedCrc) throw refusal("checksum-mismatch", `CRC-32 is ${hex(crc)}, the file says ${hex(storedCrc)}`);

  const vocabularyBytes = new Uint8Array(bytes.buffer, bytes.byteOffset + vocabularyAt, length - vocabularyAt);
  const vocabulary = new TextDecoder().decode(vocabularyBytes).split("\n");
  if (vocabulary.length !== rows) throw refusal("corrupt-weights", `${vocabulary.length} tokens for ${rows} rows`);
  const scales = new Float32Array(rows);
  new Uint8Array(scales.buffer).set(bytes.subarray(HEADER_BYTES, codesAt));
  if (!scales.every((scale) => scale >= 0 && scale < Infinity)) throw refusal("corrupt-weights", "a scale is no size");
  return {
    dimensions,
    vocabulary,
    scales,
    codes: new Int8Array(bytes.buffer, bytes.byteOffset + codesAt, rows * dimensions),
    vocabularyBytes,
  };
}

/** Bytes of a file, by its header. @throws EmbedError `truncated-weights`, `unsupported-version`, `corrupt-weights` */
export function fileLength(start: Uint8Array, where: string): number {
  return readLayout(start, where).length;
}

function readLayout(bytes: Uint8Array, where = "weights") {
  const refuse = (code: EmbedErrorCode, problem: string): never => {
    throw refusal(code, problem, where);
  };
  if (bytes.length < HEADER_BYTES) refuse("truncated-weights", `${bytes.length} bytes hold no header`);
  const header = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  const [storedCrc, version, rows, dimensions, vocabularyBytes] = [4, 8, 12, 16, 20].map((at) =>
    header.getUint32(at, true),
  ) as [number, number, number, number, number];
  if (version !== VERSION) refuse("unsupported-version", `version ${version}, expected ${VERSION}`);
  if (rows < 1 || rows > MAX_ROWS) refuse("corrupt-weights", `${rows} rows, expected 1 to ${MAX_ROWS}`);
  if (dimensions < 1 || dimensions > MAX_DIMENSIONS) {
    refuse("corrupt-weights", `${dimensions} dimensions, expected 1 to ${MAX_DIMENSIONS}`);
  }
  const codesAt = HEADER_BYTES + 4 * rows;
  const vocabularyAt = codesAt + rows * dimensions;
  return { rows, dimensions, codesAt, vocabularyAt, length: vocabularyAt + vocabularyBytes, storedCrc };
}

/** Beginnings of what servers and folders often have in the place of a file. */
const FOREIGN: readonly (readonly [beginning: RegExp, name: string])[] = [
  [/^(\xef\xbb\xbf|\s)*<(!doctype html|html|head|body|script|meta|!--)/i, "an HTML page came"],
  [/^\s*<\?xml/i, "an XML document came"],
  [/^version https:\/\/git-lfs/, "a Git LFS pointer came"],
  [/^\s*[{[]/, "JSON came"],
  [/^[^\s!-\xff]\x8b/, "a gzip file came"],
];

/**
 * Tells from its beginning what a file is that does not hold weights; undefined if it may hold them, or is empty.
 * @param contentType what the server called it, or ""
 */
export function foreignContent(start: Uint8Array, contentType: string): string | undefined {
  const beginning = String.fromCharCode(...start.subarray(0, 64));
  if (beginning.startsWith("MLEM".slice(0, beginning.length))) return undefined;
  const name = FOREIGN.find(([pattern]) => pattern.test(beginning))?.[1] ?? "another file came";
  const type = contentType.replace(/[^ -~]/g, "").slice(0, 60);
  return type === "" ? name : `${name} (content type ${type})`;
}

function refusal(code: EmbedErrorCode, problem: string, where = "weights"): EmbedError {
  return new EmbedError(code, where, problem, "Use the weights file that came with this version of the package");
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}
