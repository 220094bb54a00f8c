import { FormatError, shown } from "../base/errors.js";
import { decodeUtf8, jsonObject, parseJsonObject } from "../base/json.js";
import { DTYPE_BITS, type DType, isDType } from "../picture/dtype.js";
import { byteLengthOf } from "../picture/tensor-file.js";

/** Where a tensor lies. */
export interface TensorPlace {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Of its first byte, from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** A file's header, checked against the file's size. */
export interface Layout {
  readonly metadata: ReadonlyMap<string, string>;
  /** In the order of their offsets. */
  readonly tensors: ReadonlyMap<string, TensorPlace>;
}

/** Bytes of the length that a file begins with. */
export const PREFIX_BYTES = 8;
/** `MAX_HEADER_SIZE` of safetensors' tensor.rs. */
const MAX_HEADER_BYTES = 100_000_000;
const METADATA = "__metadata__";

/** Bytes of the header, by a file's first eight. @throws FormatError `truncated`, `too-large` */
export function headerLength(start: Uint8Array, fileBytes: number): number {
  if (start.length < PREFIX_BYTES) {
    throw new FormatError("truncated", "file", `has ${start.length} bytes`, "Pass a whole safetensors file");
  }
  const length = new DataView(start.buffer, start.byteOffset).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    const problem = `would be ${length} bytes long, so this is no safetensors file, or a damaged one`;
    throw new FormatError("too-large", "header", problem, "Pass a safetensors file, or restore it from a copy");
  }
  if (Number(length) > fileBytes - PREFIX_BYTES) {
    throw new FormatError("truncated", "header", `says ${length} bytes, the file has ${fileBytes}`, "Restore the file");
  }
  return Number(length);
}

/**
 * Reads a header as safetensors does: tensors must cover the rest of the file without gap or overlap.
 * @param header the bytes after the first eight; @param fileBytes size of the whole file
 * @throws FormatError `bad-header`, `duplicate-name`, `unsupported-dtype`, `bad-shape`, `bad-offset`
 */
export function parseHeader(header: Uint8Array, fileBytes: number): Layout {
  if (header[0] !== 0x7b) {
    throw new FormatError("bad-header", "header", "does not begin with {", "Pass a safetensors file");
  }
  const members = parseJsonObject(decodeUtf8(header, "header"), "header");
  const dataStart = PREFIX_BYTES + header.length;
  const places = [...members]
    .filter(([name]) => name !== METADATA)
    .map(([name, info]) => [name, readPlace(name, info, dataStart)] as const);
  // Empty tensors have the offset of their neighbour; the shorter one comes first.
  places.sort(([, a], [, b]) => a.offset - b.offset || a.byteLength - b.byteLength);
  let end = dataStart;
  for (const [name, { offset, byteLength }] of places) {
    if (offset !== end) refuseOffset(name, `begins at byte ${offset}, not ${end}`);
    end += byteLength;
  }
  if (end !== fileBytes) refuseOffset("file", `has ${fileBytes} bytes, its tensors end at ${end}`);
  return { metadata: readMetadata(members.get(METADATA)), tensors: new Map(places) };
}

function readPlace(name: string, value: unknown, dataStart: number): TensorPlace {
  const info = jsonObject(value, shown(name));
  const dtype = info.get("dtype");
  if (!isDType(dtype)) {
    throw new FormatError("unsupported-dtype", name, `has the type ${shown(dtype)}`, "Convert it with its own program");
  }
  const shape = counts(info.get("shape"), `shape of ${shown(name)}`);
  const [begin, end, more] = counts(info.get("data_offsets"), `data_offsets of ${shown(name)}`);
  if (begin === undefined || end === undefined || more !== undefined) refuseOffset(name, "has no two offsets");
  const byteLength = byteLengthOf(dtype, shape, name);
  if (end - begin !== byteLength) {
    refuseOffset(name, `spans ${end - begin} bytes, its type and shape take ${byteLength}`);
  }
  return { dtype, shape, offset: dataStart + begin, byteLength };
}

function counts(value: unknown, where: string): readonly number[] {
  if (Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0)) return value;
  throw new FormatError("bad-header", where, `is ${shown(value)}, not a list of counts`, "Write the file again");
}

function readMetadata(value: unknown): ReadonlyMap<string, string> {
  // MLX writes null where it has none, which safetensors itself reads as that.
  const entries = value === undefined || value === null ? new Map<string, unknown>() : jsonObject(value, METADATA);
  for (const [key, text] of entries) {
    if (typeof text !== "string") {
      throw new FormatError("bad-header", METADATA, `${shown(key)} is ${shown(text)}, not text`, "Write it again");
    }
  }
  return entries as ReadonlyMap<string, string>;
}

function refuseOffset(name: string, problem: string): never {
  throw new FormatError("bad-offset", name, problem, "Restore the file from a copy");
}

/** A tensor before it has a place in the file. */
export interface TensorInfo {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/**
 * The one header for these tensors, and their places in the file: as safetensors writes it, by descending type, then
 * by name, padded with spaces to a multiple of eight; metadata sorted by key, which safetensors leaves to chance.
 * @throws FormatError `bad-shape`, `bad-name`
 */
export function layOut(
  tensors: ReadonlyMap<string, TensorInfo>,
  metadata: ReadonlyMap<string, string>,
): { readonly header: Uint8Array; readonly layout: Layout } {
  if (tensors.has(METADATA)) throw new FormatError("bad-name", METADATA, "is no tensor's name", "Rename the tensor");
  const names = [...tensors].sort(([a, { dtype: x }], [b, { dtype: y }]) => ORDER[y] - ORDER[x] || byUtf8(a, b));
  let end = 0;
  const places = names.map(([name, { dtype, shape }]) => {
    const place = { dtype, shape, offset: end, byteLength: byteLengthOf(dtype, shape, name) };
    end += place.byteLength;
    return [name, place] as const;
  });
  const sorted = [...metadata].sort(([a], [b]) => byUtf8(a, b));
  const members = places.map(
    ([name, { dtype, shape, offset, byteLength }]) =>
      `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [offset, offset + byteLength] })}`,
  );
  // Member by member, since an object puts names that look like numbers first and knows a name __proto__.
  const texts = sorted.map(([key, text]) => `${JSON.stringify(key)}:${JSON.stringify(text)}`);
  if (texts.length > 0) members.unshift(`"${METADATA}":{${texts.join(",")}}`);
  const json = new TextEncoder().encode(`{${members.join(",")}}`);
  const header = new Uint8Array(PREFIX_BYTES + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - PREFIX_BYTES), true);
  header.set(json, PREFIX_BYTES);
  const moved = places.map(([name, place]) => [name, { ...place, offset: place.offset + header.length }] as const);
  return { header, layout: { metadata: new Map(sorted), tensors: new Map(moved) } };
}

const ORDER = Object.fromEntries(Object.keys(DTYPE_BITS).map((name, i) => [name, i])) as { [K in DType]: number };

/** Compares by code points, as bytes of UTF-8 compare. JavaScript's own comparison is by UTF-16 units. */
function byUtf8(a: string, b: string): number {
  let i = 0;
  while (i < a.length && i < b.length && a[i] === b[i]) i++;
  // Where only the second halves of a pair differ, they decide as the whole characters would.
  return (a.codePointAt(i) ?? -1) - (b.codePointAt(i) ?? -1);
}
