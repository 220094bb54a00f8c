import { OnnxError } from "../base/errors.js";
import type { ByteSource } from "../graph/serde/source.js";
import { ARRAY, GGML_TYPES, type GgmlType, ggmlTypeOf, STRING, VALUE_BYTES } from "./types.js";

/** A GGUF file without the elements of its tensors. */
export interface GgufFile {
  /** Its key-value pairs. */
  readonly metadata: Metadata;
  /** Its tensors, by name. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** Where its bytes are read. */
  readonly source: ByteSource;
}

/** One tensor of a GGUF file: where its bytes are, and how they are read. */
export interface GgufTensor {
  /** Its name in the file. */
  readonly name: string;
  /** The dimensions as PyTorch has them: ggml's `ne` in reverse, so a weight is [out, in]. */
  readonly dims: readonly number[];
  /** How its elements are stored. */
  readonly type: GgmlType;
  /** Bytes from the beginning of the file. */
  readonly offset: number;
  /** Number of bytes. */
  readonly length: number;
}

const REMEDY = "Get the file again from where it was made";
const MAX_DIMENSIONS = 4;
/** No file has more; what says so is broken. */
const MAX_COUNT = 1 << 20;
const LONGEST_KEY = 1 << 16;

/**
 * Reads the header of a GGUF file, version 2 or 3, by the rules of `gguf_init_from_file` in llama.cpp's gguf.cpp.
 * @throws OnnxError `invalid-gguf`, `truncated`, `unsupported-type`
 */
export function readGguf(source: ByteSource): GgufFile {
  const reader = new Reader(source);
  if (!isGguf(reader.bytes(4))) refuse("byte 0", "does not say GGUF", "Pass a GGUF file");
  const version = reader.u32();
  if (version !== 2 && version !== 3) {
    refuse("byte 4", `says version ${version}`, "Convert the file to version 3, little-endian");
  }
  const [tensorCount, entryCount] = [reader.size(), reader.size()];
  if (tensorCount > MAX_COUNT || entryCount > MAX_COUNT) {
    refuse("byte 8", `says ${tensorCount} tensors and ${entryCount} entries`, REMEDY);
  }
  const metadata = readMetadata(reader, entryCount);
  const infos = Array.from({ length: tensorCount }, () => readTensorInfo(reader));
  const alignment = metadata.number("general.alignment") ?? 32;
  if (!(alignment > 0) || !Number.isInteger(Math.log2(alignment))) {
    refuse("general.alignment", `is ${alignment}, not a power of two`, REMEDY);
  }
  return { metadata, tensors: placeTensors(infos, Math.ceil(reader.at / alignment) * alignment, source), source };
}

/** Whether bytes begin as a GGUF file does. */
export function isGguf(start: Uint8Array): boolean {
  return start[0] === 0x47 && start[1] === 0x47 && start[2] === 0x55 && start[3] === 0x46;
}

/** The elements of a tensor as the file has them. */
export function readTensor({ source }: GgufFile, { offset, length }: GgufTensor): Uint8Array {
  return source.read(offset, length);
}

type Value = string | number | boolean | ArrayPlace;

/** An array of metadata, which is read when asked for: vocabularies are long. */
interface ArrayPlace {
  readonly type: number;
  readonly count: number;
  readonly at: number;
}

/** The metadata of a GGUF file, by key. */
export class Metadata {
  readonly #values: ReadonlyMap<string, Value>;
  readonly #source: ByteSource;

  constructor(values: ReadonlyMap<string, Value>, source: ByteSource) {
    this.#values = values;
    this.#source = source;
  }

  /** A text; undefined if the key is missing or is something else. */
  text(key: string): string | undefined {
    const value = this.#values.get(key);
    return typeof value === "string" ? value : undefined;
  }

  /** The number under a key; undefined if there is none. */
  number(key: string): number | undefined {
    const value = this.#values.get(key);
    return typeof value === "number" ? value : undefined;
  }

  /** The boolean under a key; undefined if there is none. */
  flag(key: string): boolean | undefined {
    const value = this.#values.get(key);
    return typeof value === "boolean" ? value : undefined;
  }

  /** The list of texts under a key; undefined if there is none. */
  texts(key: string): readonly string[] | undefined {
    const place = this.#array(key);
    return place?.type === STRING ? place.read((reader) => reader.text(reader.size())) : undefined;
  }

  /** The list of numbers under a key; undefined if there is none. */
  numbers(key: string): readonly number[] | undefined {
    const place = this.#array(key);
    return place === undefined || place.type === STRING
      ? undefined
      : place.read((reader) => Number(scalarOf(reader, place.type)));
  }

  #array(key: string) {
    const value = this.#values.get(key);
    if (typeof value !== "object") return undefined;
    const read = <T>(each: (reader: Reader) => T): readonly T[] => {
      const reader = new Reader(this.#source, value.at);
      return Array.from({ length: value.count }, () => each(reader));
    };
    return { type: value.type, read };
  }
}

function readMetadata(reader: Reader, count: number): Metadata {
  const values = new Map<string, Value>();
  for (let i = 0; i < count; i++) {
    const key = reader.text(checkKeyLength(reader.size(), reader.at));
    if (values.has(key)) refuse(key, "is the name of two entries", REMEDY);
    values.set(key, readValue(reader, reader.u32(), key));
  }
  return new Metadata(values, reader.source);
}

function readValue(reader: Reader, type: number, key: string): Value {
  if (type === STRING) return reader.text(reader.size());
  if (type !== ARRAY) return scalarOf(reader, type);
  const [inner, count] = [reader.u32(), reader.size()];
  const bytes = VALUE_BYTES[inner];
  if (bytes === undefined || inner === ARRAY) refuse(key, `is an array of the type ${inner}`, REMEDY);
  reader.check(count * bytes);
  const place = { type: inner, count, at: reader.at };
  if (inner === STRING) for (let i = 0; i < count; i++) reader.skip(reader.size());
  else reader.skip(count * bytes);
  return place;
}

/** Reads a scalar; 64-bit integers as the nearest numbers. */
function scalarOf(reader: Reader, type: number): number | boolean {
  const bytes = VALUE_BYTES[type];
  if (bytes === undefined) refuse(`byte ${reader.at}`, `says a value of the unknown type ${type}`, REMEDY);
  const view = reader.view(bytes);
  return SCALARS[type]!(view);
}

const SCALARS: readonly (((view: DataView) => number | boolean) | undefined)[] = [
  (view) => view.getUint8(0),
  (view) => view.getInt8(0),
  (view) => view.getUint16(0, true),
  (view) => view.getInt16(0, true),
  (view) => view.getUint32(0, true),
  (view) => view.getInt32(0, true),
  (view) => view.getFloat32(0, true),
  (view) => view.getUint8(0) !== 0,
  undefined,
  undefined,
  (view) => Number(view.getBigUint64(0, true)),
  (view) => Number(view.getBigInt64(0, true)),
  (view) => view.getFloat64(0, true),
];

function readTensorInfo(reader: Reader): Omit<GgufTensor, "length"> {
  const name = reader.text(checkKeyLength(reader.size(), reader.at));
  const count = reader.u32();
  if (count > MAX_DIMENSIONS) refuse(name, `has ${count} dimensions, at most ${MAX_DIMENSIONS} are allowed`, REMEDY);
  const dims = Array.from({ length: count }, () => reader.size()).reverse();
  const id = reader.u32();
  const type = ggmlTypeOf(id);
  if (type === undefined) {
    const remedy = `Quantise the model to one of ${Object.keys(GGML_TYPES).join(", ")}`;
    throw new OnnxError("unsupported-type", name, `is of the ggml type ${id}`, remedy);
  }
  return { name, dims, type, offset: reader.size() };
}

/** Tensors by name, each checked to lie inside of the file. */
function placeTensors(
  infos: readonly Omit<GgufTensor, "length">[],
  start: number,
  source: ByteSource,
): ReadonlyMap<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>();
  for (const info of infos) {
    const { name, dims, type } = info;
    if (tensors.has(name)) refuse(name, "is the name of two tensors", REMEDY);
    const { elements, bytes } = GGML_TYPES[type];
    const count = dims.reduce((product, dim) => product * dim, 1);
    if (!Number.isSafeInteger(count * bytes) || (dims.at(-1) ?? 1) % elements !== 0) {
      refuse(name, `has the shape [${dims.join(", ")}] of ${type}`, REMEDY);
    }
    const [offset, length] = [start + info.offset, (count / elements) * bytes];
    if (offset + length > source.length) truncated(name, offset + length, source);
    tensors.set(name, { ...info, offset, length });
  }
  return tensors;
}

const WINDOW = 1 << 18;
const UTF8 = new TextDecoder();

/** Reads a source from front to back, little-endian, a window at a time. */
class Reader {
  at: number;
  readonly source: ByteSource;
  #start = 0;
  #window: Uint8Array = new Uint8Array();

  constructor(source: ByteSource, at = 0) {
    this.source = source;
    this.at = at;
  }

  u32(): number {
    return this.view(4).getUint32(0, true);
  }

  /** A u64 that a number holds exactly. */
  size(): number {
    const { at } = this;
    const value = this.view(8).getBigUint64(0, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) refuse(`byte ${at}`, `says ${value}`, REMEDY);
    return Number(value);
  }

  text(length: number): string {
    return UTF8.decode(this.bytes(length));
  }

  view(length: number): DataView {
    const bytes = this.bytes(length);
    return new DataView(bytes.buffer, bytes.byteOffset, length);
  }

  /** Refuses a file that has fewer bytes than these ahead. */
  check(length: number): void {
    if (this.at + length > this.source.length) truncated("header", this.at + length, this.source);
  }

  skip(length: number): void {
    this.check(length);
    this.at += length;
  }

  bytes(length: number): Uint8Array {
    this.check(length);
    const from = this.at - this.#start;
    this.at += length;
    if (from >= 0 && from + length <= this.#window.length) return this.#window.subarray(from, from + length);
    const start = this.at - length;
    this.#window = this.source.read(start, Math.min(Math.max(length, WINDOW), this.source.length - start));
    this.#start = start;
    return this.#window.subarray(0, length);
  }
}

function checkKeyLength(length: number, at: number): number {
  if (length <= LONGEST_KEY) return length;
  return refuse(`byte ${at}`, `says a name of ${length} bytes`, REMEDY);
}

function truncated(where: string, end: number, source: ByteSource): never {
  throw new OnnxError("truncated", where, `ends at byte ${end}, the file has ${source.length}`, "Get the whole file");
}

function refuse(where: string, problem: string, remedy: string): never {
  throw new OnnxError("invalid-gguf", where.slice(0, 80), problem, remedy);
}
