import { checkBytes } from "../base/bytes.js";
import { Cursor } from "../base/cursor.js";
import { FormatError, shown } from "../base/errors.js";
import { refuseLookalike } from "../base/lookalikes.js";
import { GGML_TYPES, type GgmlType, ggmlTypeOf, VALUE_TYPES, type ValueType, valueTypeOf } from "./types.js";

/** The contents of a GGUF file; version 3, little-endian. */
export interface GgufFile {
  readonly metadata: Metadata;
  readonly tensors: readonly GgufTensor[];
}

export type Metadata = ReadonlyMap<string, MetadataValue>;

/** Texts, and the scalars that fit a number; arrays and 64-bit integers are checked and passed over. */
export interface MetadataValue {
  readonly type: ValueType;
  readonly value: string | number | null;
}

export interface GgufTensor {
  readonly name: string;
  /** `ne` of ggml: the innermost dimension first. */
  readonly shape: readonly number[];
  readonly type: GgmlType;
  /** A view of the file. */
  readonly data: Uint8Array;
}

export const MAGIC = Uint8Array.of(0x47, 0x47, 0x55, 0x46);
export const ALIGNMENT = 32;
/** GGML_MAX_NAME: a name and its final zero byte. */
export const MAX_NAME_BYTES = 64;
const MAX_DIMENSIONS = 4;
const LEAST_ENTRY_BYTES = 8 + 4 + 1;
const LEAST_TENSOR_BYTES = 8 + 4 + 4 + 8;
const REMEDY = "Get the file again from where it was made";

/**
 * Checks a GGUF file in full, by the rules of `gguf_init_from_file` in llama.cpp's gguf.cpp, and views its tensors.
 * @throws FormatError `not-this-format`, `unsupported-version`, `truncated`, `bad-header`, `bad-name`, `duplicate-name`,
 * `bad-shape`, `bad-offset`, `unsupported-dtype`
 */
export function readGguf(bytes: Uint8Array): GgufFile {
  checkBytes(bytes);
  refuseLookalike(bytes, "file", "gguf");
  const cursor = new Cursor(bytes);
  const { tensorCount, entryCount } = readPrefix(cursor);
  const metadata = readMetadata(cursor, entryCount);
  const infos: TensorInfo[] = [];
  const names = new Set<string>();
  for (let i = 0; i < tensorCount; i++) {
    const info = readTensorInfo(cursor);
    if (names.has(info.name)) duplicate(info.name, "tensor");
    names.add(info.name);
    infos.push(info);
  }
  return { metadata, tensors: viewTensors(bytes, cursor.at, infos, alignmentOf(metadata)) };
}

/**
 * The metadata of a GGUF file. The beginning of the file is enough, which matters for models.
 * @throws FormatError `truncated` if more of it is needed, and as `readGguf`
 */
export function readGgufMetadata(start: Uint8Array): Metadata {
  checkBytes(start);
  refuseLookalike(start, "file", "gguf");
  const cursor = new Cursor(start);
  return readMetadata(cursor, readPrefix(cursor).entryCount);
}

/** The header of a file; tensors may have any type of ggml. */
export interface GgufHeader {
  readonly metadata: Metadata;
  readonly infos: readonly TensorHeader[];
  /** Of the first byte of metadata, of the first byte after it, and of the first byte after all of the header. */
  readonly offsets: { readonly metadata: number; readonly infos: number; readonly end: number };
  readonly alignment: number;
  readonly version: number;
  readonly entryCount: number;
}

/** @throws FormatError `truncated` if more of the file is needed, and as `readGguf` */
export function readGgufHeader(start: Uint8Array): GgufHeader {
  checkBytes(start);
  refuseLookalike(start, "file", "gguf");
  const cursor = new Cursor(start);
  const { tensorCount, entryCount, version } = readPrefix(cursor, false);
  const metadataAt = cursor.at;
  const metadata = readMetadata(cursor, entryCount);
  const infosAt = cursor.at;
  const names = new Set<string>();
  const infos: TensorHeader[] = [];
  for (let i = 0; i < tensorCount; i++) {
    const info = readTensorHeader(cursor);
    if (names.has(info.name)) duplicate(info.name, "tensor");
    names.add(info.name);
    infos.push(info);
  }
  const offsets = { metadata: metadataAt, infos: infosAt, end: cursor.at };
  return { metadata, infos, offsets, alignment: alignmentOf(metadata), version, entryCount };
}

/** @param isWhole whether counts may be held against the bytes that are left */
function readPrefix(cursor: Cursor, isWhole = true): { tensorCount: number; entryCount: number; version: number } {
  for (const byte of MAGIC) {
    if (cursor.u8("the magic number") !== byte) {
      throw new FormatError("not-this-format", "byte 0", "does not say GGUF", "Pass a GGUF file");
    }
  }
  const version = cursor.u32("the version");
  if (version !== 3 && version !== 2) {
    const problem = version === 0x0300_0000 ? "is big-endian" : `says version ${version}`;
    throw new FormatError("unsupported-version", "byte 4", problem, "Convert it to version 3, little-endian");
  }
  if (!isWhole) {
    return {
      tensorCount: cursor.size("the number of tensors"),
      entryCount: cursor.size("the number of entries"),
      version,
    };
  }
  return {
    tensorCount: cursor.count("the number of tensors", LEAST_TENSOR_BYTES),
    entryCount: cursor.count("the number of metadata entries", LEAST_ENTRY_BYTES),
    version,
  };
}

function readMetadata(cursor: Cursor, count: number): Metadata {
  const metadata = new Map<string, MetadataValue>();
  for (let i = 0; i < count; i++) {
    const at = cursor.at;
    const key = readText(cursor, "a key");
    if (key === "") throw new FormatError("bad-name", `byte ${at}`, "is an empty key", REMEDY);
    if (metadata.has(key)) duplicate(key, "key");
    metadata.set(key, readValue(cursor, readValueType(cursor, key), key));
  }
  return metadata;
}

function readValueType(cursor: Cursor, key: string): ValueType {
  const id = cursor.u32("a type");
  return valueTypeOf(id) ?? refuseHeader(shown(key), `has a value of the unknown type ${id}`);
}

function readValue(cursor: Cursor, type: ValueType, key: string): MetadataValue {
  if (type === "STRING") return { type, value: readText(cursor, "a text") };
  if (type === "UINT32") return { type, value: cursor.u32("a value") };
  if (type === "FLOAT32") return { type, value: cursor.f32("a value") };
  if (type === "ARRAY") skipArray(cursor, key);
  else cursor.bytes(VALUE_TYPES[type].bytes, "a value");
  return { type, value: null };
}

/** Arrays hold vocabularies and the like; their lengths are checked, and nothing of them is decoded. */
function skipArray(cursor: Cursor, key: string): void {
  const type = readValueType(cursor, key);
  if (type === "ARRAY") refuseHeader(shown(key), "is an array of arrays");
  const count = cursor.count("the length of an array", VALUE_TYPES[type].bytes);
  if (type !== "STRING") {
    cursor.bytes(count * VALUE_TYPES[type].bytes, "an array");
    return;
  }
  for (let i = 0; i < count; i++) cursor.bytes(cursor.size("the length of a text"), "a text");
}

interface TensorInfo extends Omit<GgufTensor, "data"> {
  readonly offset: number;
}

/** A tensor by the header: its type is ggml's number. */
export interface TensorHeader {
  readonly name: string;
  /** `ne` of ggml: the innermost dimension first. */
  readonly shape: readonly number[];
  readonly typeId: number;
  /** From the first byte after the header and its padding. */
  readonly offset: number;
}

function readTensorHeader(cursor: Cursor): TensorHeader {
  const at = cursor.at;
  const length = cursor.size("the length of a name");
  if (length >= MAX_NAME_BYTES || length === 0) {
    throw new FormatError("bad-name", `byte ${at}`, `is a name of ${length} bytes, 1 to 63 are allowed`, REMEDY);
  }
  const name = cursor.text(length, "a name");
  const dimensions = cursor.u32("the number of dimensions");
  if (dimensions > MAX_DIMENSIONS) {
    throw new FormatError("bad-shape", shown(name), `has ${dimensions} dimensions, at most 4 are allowed`, REMEDY);
  }
  const shape = Array.from({ length: dimensions }, () => cursor.size("a dimension"));
  return { name, shape, typeId: cursor.u32("the type of a tensor"), offset: cursor.size("the offset of a tensor") };
}

function readTensorInfo(cursor: Cursor): TensorInfo {
  const { name, shape, typeId, offset } = readTensorHeader(cursor);
  const type = ggmlTypeOf(typeId);
  if (type !== undefined) return { name, shape, type, offset };
  const remedy = `Convert it to one of ${Object.keys(GGML_TYPES).join(", ")}`;
  throw new FormatError("unsupported-dtype", shown(name), `is of the ggml type ${typeId}`, remedy);
}

/** Tensors lie one after the other, each at the next multiple of the alignment. */
function viewTensors(
  bytes: Uint8Array,
  headerEnd: number,
  infos: readonly TensorInfo[],
  alignment: number,
): GgufTensor[] {
  const start = padded(headerEnd, alignment);
  let end = 0;
  const tensors = infos.map(({ offset, ...info }) => {
    const expected = padded(end, alignment);
    if (offset !== expected) {
      throw new FormatError("bad-offset", shown(info.name), `lies at ${offset}, expected at ${expected}`, REMEDY);
    }
    end = offset + sizeOf(info);
    if (start + end > bytes.length) {
      const problem = `ends at byte ${start + end}, the file has ${bytes.length}`;
      throw new FormatError("truncated", shown(info.name), problem, REMEDY);
    }
    return { ...info, data: bytes.subarray(start + offset, start + end) };
  });
  if (infos.length > 0 && bytes.length > start + padded(end, alignment)) {
    const problem = `${bytes.length - start - end} bytes follow the last tensor`;
    throw new FormatError("bad-offset", `byte ${start + end}`, problem, REMEDY);
  }
  return tensors;
}

function sizeOf({ name, shape, type }: Omit<TensorInfo, "offset">): number {
  const { elements, bytes } = GGML_TYPES[type];
  const count = shape.reduce((product, size) => product * size, 1);
  const row = shape[0] ?? 1;
  if (Number.isSafeInteger(count * bytes) && shape.every(Number.isSafeInteger) && row % elements === 0) {
    return (count / elements) * bytes;
  }
  throw new FormatError("bad-shape", shown(name), `has the shape [${shape.join(", ")}] of ${type}`, REMEDY);
}

function alignmentOf(metadata: Metadata): number {
  const entry = metadata.get("general.alignment");
  if (entry === undefined) return ALIGNMENT;
  const { type, value } = entry;
  const isPower = typeof value === "number" && value > 0 && Number.isInteger(Math.log2(value));
  if (type === "UINT32" && isPower) return value;
  return refuseHeader("general.alignment", `is ${shown(value)} as ${type}, a power of two as UINT32 expected`);
}

export function padded(offset: number, alignment: number): number {
  return Math.ceil(offset / alignment) * alignment;
}

function readText(cursor: Cursor, what: string): string {
  return cursor.text(cursor.count(`the length of ${what}`, 1), what);
}

function refuseHeader(where: string, problem: string): never {
  throw new FormatError("bad-header", where, problem, REMEDY);
}

function duplicate(name: string, what: string): never {
  throw new FormatError("duplicate-name", shown(name), `is the name of two ${what}s`, REMEDY);
}
