import { refusal, shown } from "../base/errors.js";
import { crc32 } from "./crc32.js";

/**
 * The native file, little-endian:
 *
 *   0   8   magic "\x89MLORA\r\n"
 *   8   4   format version
 *   12  4   length of the whole file
 *   16  4   length H of the header, a multiple of 4
 *   20  H   header: JSON in UTF-8, padded with spaces
 *   …       blocks of float32, int16 or int8, whose order and lengths follow from the header; each padded with zeros to 4 bytes
 *   -4  4   CRC-32 of all before it
 *
 * One state has one byte sequence: keys are written in one order, blocks in one order, and nothing depends on time.
 */
const MAGIC = Uint8Array.of(0x89, 0x4d, 0x4c, 0x4f, 0x52, 0x41, 0x0d, 0x0a);
export const VERSION = 4;
/** Versions that can be read; what a newer one added has its default in an older one. */
const READABLE = [1, 2, 3, VERSION];
/** What to do about a file that is damaged. */
export const REMEDY = "Restore the file from a copy";
const PREFIX_BYTES = 20;
const CRC_BYTES = 4;

/** Numbers of a file that belong together. */
export type Block = Float32Array | Int16Array | Int8Array;

/** Writes a header and its blocks as one file. */
export function writeContainer(header: object, blocks: readonly Block[]): Uint8Array {
  const json = new TextEncoder().encode(encodeHeader(header));
  const headerBytes = json.length;
  const words = blocks.reduce((sum, block) => sum + wordsOf(block.byteLength), 0);
  const bytes = new Uint8Array(PREFIX_BYTES + headerBytes + 4 * words + CRC_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(MAGIC);
  view.setUint32(8, VERSION, true);
  view.setUint32(12, bytes.length, true);
  view.setUint32(16, headerBytes, true);
  bytes.set(json, PREFIX_BYTES);
  let at = PREFIX_BYTES + headerBytes;
  for (const block of blocks) {
    bytes.set(new Uint8Array(block.buffer, block.byteOffset, block.byteLength), at);
    at += 4 * wordsOf(block.byteLength);
  }
  view.setUint32(at, crc32(bytes.subarray(0, at)), true);
  return bytes;
}

function wordsOf(bytes: number): number {
  return Math.ceil(bytes / 4);
}

/**
 * Checks a file's frame and returns its header, not yet trusted, and its floats.
 * @throws MicroLoraError `not-a-checkpoint`, `truncated-checkpoint`, `unsupported-version`, `checksum-mismatch`,
 * `corrupt-checkpoint`
 */
export function readContainer(bytes: Uint8Array, kind: string): { header: unknown; body: Body } {
  if (!(bytes instanceof Uint8Array)) fail("not-a-checkpoint", 0, "is not a Uint8Array", "Pass the file's bytes");
  for (let i = 0; i < Math.min(MAGIC.length, bytes.length); i++) {
    if (bytes[i] !== MAGIC[i]) fail("not-a-checkpoint", i, "is not of the magic number", "Pass a MicroLoRA checkpoint");
  }
  if (bytes.length < PREFIX_BYTES + CRC_BYTES) truncated(bytes.length, PREFIX_BYTES + CRC_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint32(8, true);
  if (!READABLE.includes(version)) {
    fail(
      "unsupported-version",
      8,
      `says version ${version}, this program reads ${READABLE.join(", ")}`,
      "Use the program that wrote it",
    );
  }
  const length = view.getUint32(12, true);
  if (bytes.length < length) truncated(bytes.length, length);
  if (bytes.length > length) {
    fail("corrupt-checkpoint", 12, `says ${length} bytes, there are ${bytes.length}`);
  }
  const headerBytes = view.getUint32(16, true);
  const dataStart = PREFIX_BYTES + headerBytes;
  const end = bytes.length - CRC_BYTES;
  const stored = view.getUint32(end, true);
  const computed = crc32(bytes.subarray(0, end));
  if (stored !== computed) {
    fail("checksum-mismatch", end, `holds checksum ${stored}, the bytes give ${computed}`);
  }
  if (dataStart > end || headerBytes % 4 !== 0 || end % 4 !== 0) {
    fail("corrupt-checkpoint", 16, `gives a header of ${headerBytes} bytes, in a file of ${length}`);
  }
  const floats = new Float32Array((end - dataStart) / 4);
  new Uint8Array(floats.buffer).set(bytes.subarray(dataStart, end));
  const { text, header } = decodeHeader(bytes.subarray(PREFIX_BYTES, dataStart));
  const found: unknown = Object(header).kind;
  if (found !== kind)
    fail("not-a-checkpoint", PREFIX_BYTES, `holds ${shown(found)}, not ${shown(kind)}`, "Load it as what it is");
  return { header, body: new Body(version, text, floats) };
}

/** Gives out the numbers of a file in order, as views of one copy; refuses to give more than there are, or to leave some. */
export class Body {
  readonly #text: string;
  readonly #floats: Float32Array;
  #at = 0;

  constructor(
    readonly version: number,
    text: string,
    floats: Float32Array,
  ) {
    this.#text = text;
    this.#floats = floats;
  }

  take(length: number, where: string): Float32Array {
    const left = this.#floats.length - this.#at;
    if (length > left) corrupt(where, `wants ${length} numbers, ${left} are left`);
    this.#at += length;
    return this.#floats.subarray(this.#at - length, this.#at);
  }

  /** As `take`, of int8. */
  takeInt8(length: number, where: string): Int8Array {
    const { buffer, byteOffset } = this.#takeBytes(length, where);
    return new Int8Array(buffer, byteOffset, length);
  }

  /** As `take`, of int16. */
  takeInt16(length: number, where: string): Int16Array {
    const { buffer, byteOffset } = this.#takeBytes(2 * length, where);
    return new Int16Array(buffer, byteOffset, length);
  }

  #takeBytes(length: number, where: string): Float32Array {
    const block = this.take(wordsOf(length), where);
    const padding = new Uint8Array(block.buffer, block.byteOffset + length, block.byteLength - length);
    if (padding.some((byte) => byte !== 0)) corrupt(where, "is padded with something else than zeros");
    return block;
  }

  /** After the last number: refuses a file that is not the one which `header` would be written as. */
  end(header: object): void {
    const left = this.#floats.length - this.#at;
    if (left !== 0) corrupt("file", `${left} numbers are left over`);
    if (encodeHeader(header) !== this.#text) corrupt("header", "has more in it than it should, or is in another order");
  }
}

/** Refuses what a header says of itself. */
export function corrupt(where: string, problem: string): never {
  throw refusal("corrupt-checkpoint", where, problem, REMEDY);
}

/** The JSON of a header, padded with spaces to a multiple of four bytes of UTF-8. */
function encodeHeader(header: object): string {
  const json = JSON.stringify(header);
  return json + " ".repeat(-new TextEncoder().encode(json).length & 3);
}

function decodeHeader(bytes: Uint8Array): { text: string; header: unknown } {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return { text, header: JSON.parse(text) };
  } catch (cause) {
    throw refusal("corrupt-checkpoint", "header", "is not JSON in UTF-8", REMEDY, { cause });
  }
}

function truncated(length: number, wanted: number): never {
  fail("truncated-checkpoint", length, `is the end, but at least ${wanted} bytes are expected`);
}

function fail(
  code:
    | "not-a-checkpoint"
    | "truncated-checkpoint"
    | "unsupported-version"
    | "checksum-mismatch"
    | "corrupt-checkpoint",
  at: number,
  problem: string,
  remedy = REMEDY,
): never {
  throw refusal(code, `byte ${at}`, problem, remedy);
}
