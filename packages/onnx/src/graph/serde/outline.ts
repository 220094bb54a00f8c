import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { OnnxError } from "../../base/errors.js";
import { layoutOf as fieldsOf, type Field as Layout, type MessageName } from "./codec.js";
import { type ByteSource, Cursor } from "./source.js";

/**
 * A copy of a model file without the bytes of its weights: each is replaced by a reference to where it stands, as external
 * data at location "". Documentation strings and unknown fields are left out. Every length is checked against what
 * encloses it, so that the outline, small as it is, can be decoded as it stands.
 *
 * @param inlineBelow bytes below which elements are copied all the same
 * @throws OnnxError `truncated` if a length runs over the end, `not-onnx` if the bytes are not an ONNX model
 */
export function outline(source: ByteSource, inlineBelow = SMALL): Uint8Array {
  return new Outline(source, inlineBelow).copy();
}

/** Elements stay in the outline below this many bytes: what shape chains and other constants take. */
const SMALL = 1024;
const DEEPEST = 100;

const TENSOR_FIELDS = { floatData: 4, doubleData: 10, rawData: 9, externalData: 13, dataLocation: 14 } as const;
const BULK = new Set<number>([TENSOR_FIELDS.floatData, TENSOR_FIELDS.doubleData, TENSOR_FIELDS.rawData]);
const EXTERNAL = 1;

class Outline {
  readonly #source: ByteSource;
  readonly #inlineBelow: number;
  readonly #cursor: Cursor;
  readonly #writer = new BinaryWriter();
  #isModel = false;
  #hasGraph = false;

  constructor(source: ByteSource, inlineBelow: number) {
    this.#source = source;
    this.#inlineBelow = inlineBelow;
    this.#cursor = new Cursor(source);
  }

  copy(): Uint8Array {
    this.#message("ModelProto", this.#source.length, 0);
    if (!this.#hasGraph) throw notOnnx(0, "no graph in it");
    return this.#writer.finish();
  }

  #message(message: MessageName, end: number, depth: number): void {
    if (depth > DEEPEST) throw notOnnx(this.#cursor.position, `messages nested more than ${DEEPEST} deep`);
    const layout = layoutOf(message);
    const bulk = message === "TensorProto" ? new Bulk(this.#inlineBelow) : undefined;
    while (this.#cursor.position < end) {
      const start = this.#cursor.position;
      const [number, wireType] = this.#read(start, () => this.#cursor.tag());
      this.#field(layout.get(number), number, wireType, start, end, depth, bulk);
    }
    bulk?.write(this.#writer);
  }

  #field(
    field: Field | undefined,
    number: number,
    wireType: WireType,
    start: number,
    end: number,
    depth: number,
    bulk: Bulk | undefined,
  ): void {
    const from = this.#skip(wireType, start, end);
    const to = this.#cursor.position;
    if (field === undefined) return;
    if (!field.wireTypes.includes(wireType)) throw notOnnx(start, `field ${field.name} of wire type ${wireType}`);
    this.#isModel = true;
    if (wireType === WireType.LengthDelimited && field.isPackable) checkPacked(field, this.#cursor, from, to);
    if (field.message !== undefined) this.#nested(field, number, from, to, depth);
    else if (bulk?.takes(number, wireType, from, to, start, this.#cursor) !== true)
      this.#writer.raw(this.#cursor.bytes(start, to));
  }

  #nested(field: Field, number: number, from: number, to: number, depth: number): void {
    if (from === to && field.isNeverEmpty) throw notOnnx(from, `an empty ${field.name}`);
    if (depth === 0 && field.name === "graph") this.#hasGraph = true;
    this.#cursor.position = from;
    this.#writer.tag(number, WireType.LengthDelimited).fork();
    this.#message(field.message!, to, depth + 1);
    this.#writer.join();
  }

  /** Steps over a field's value, and returns where its payload starts. */
  #skip(wireType: WireType, start: number, end: number): number {
    const cursor = this.#cursor;
    let from = cursor.position;
    if (wireType === WireType.LengthDelimited) {
      const length = this.#read(start, () => cursor.uint32());
      from = cursor.position;
      cursor.position += length;
    } else if (wireType === WireType.Varint) this.#read(start, () => cursor.skipVarint());
    else if (wireType === WireType.Bit32) cursor.position += 4;
    else if (wireType === WireType.Bit64) cursor.position += 8;
    else throw notOnnx(start, "a protobuf group, which ONNX does not have");
    if (cursor.position > end) throw this.#overrun(start, cursor.position, end);
    return from;
  }

  #read<T>(start: number, decode: () => T): T {
    try {
      return decode();
    } catch (cause) {
      if (cause instanceof RangeError) throw this.#overrun(start, this.#source.length + 1, this.#source.length);
      throw notOnnx(start, cause instanceof Error ? cause.message : String(cause));
    }
  }

  #overrun(start: number, to: number, end: number): OnnxError {
    const { length } = this.#source;
    if (to > length && this.#isModel) {
      const problem = `the file ends after ${length} bytes, within a field that needs at least ${to - length} more`;
      return new OnnxError("truncated", `byte ${start}`, problem, "Get the whole file again");
    }
    return notOnnx(start, `a field runs ${to - end} bytes over its message`);
  }
}

/** The elements of one tensor, if there are so many that they stay outside. */
class Bulk {
  readonly #inlineBelow: number;
  #seen = false;
  #isExternal = false;
  #range: { offset: number; length: number } | undefined;

  constructor(inlineBelow: number) {
    this.#inlineBelow = inlineBelow;
  }

  takes(number: number, wireType: WireType, from: number, to: number, at: number, cursor: Cursor): boolean {
    if (number === TENSOR_FIELDS.dataLocation) this.#isExternal = cursor.bytes(from, to).some((byte) => byte !== 0);
    if (!BULK.has(number) || wireType !== WireType.LengthDelimited) return false;
    if (this.#seen) throw notOnnx(at, "a tensor with its elements twice");
    this.#seen = true;
    if (to - from < Math.max(1, this.#inlineBelow)) return false;
    this.#range = { offset: from, length: to - from };
    return true;
  }

  write(writer: BinaryWriter): void {
    const range = this.#range;
    if (range === undefined) return;
    if (this.#isExternal) throw notOnnx(range.offset, "a tensor with elements inside and outside the file");
    for (const [key, value] of [
      ["location", ""],
      ["offset", `${range.offset}`],
      ["length", `${range.length}`],
    ] as const) {
      writer.tag(TENSOR_FIELDS.externalData, WireType.LengthDelimited).fork();
      writer.tag(1, WireType.LengthDelimited).string(key).tag(2, WireType.LengthDelimited).string(value).join();
    }
    writer.tag(TENSOR_FIELDS.dataLocation, WireType.Varint).int32(EXTERNAL);
  }
}

/** What the walk needs to know of a field; a field that is not listed is skipped. */
interface Field {
  readonly name: string;
  readonly message: MessageName | undefined;
  readonly isNeverEmpty: boolean;
  readonly isPackable: boolean;
  readonly wireTypes: readonly WireType[];
  /** Bytes an element takes when packed; undefined for varints. */
  readonly packedBytes: number | undefined;
}

const layouts = new Map<MessageName, ReadonlyMap<number, Field>>();
const NEVER_EMPTY = new Set(["NodeProto", "AttributeProto", "TensorProto", "ValueInfoProto", "FunctionProto"]);

function layoutOf(message: MessageName): ReadonlyMap<number, Field> {
  let layout = layouts.get(message);
  if (layout === undefined) {
    layout = new Map([...fieldsOf(message)].map(([number, field]) => [number, fieldOf(field)]));
    layouts.set(message, layout);
  }
  return layout;
}

function fieldOf({ name, message, isRepeated, wireType }: Layout): Field {
  const isPackable = isRepeated && wireType !== WireType.LengthDelimited;
  return {
    ...{ name, message, isPackable },
    isNeverEmpty: message !== undefined && NEVER_EMPTY.has(message),
    wireTypes: isPackable ? [wireType, WireType.LengthDelimited] : [wireType],
    packedBytes: wireType === WireType.Bit32 ? 4 : wireType === WireType.Bit64 ? 8 : undefined,
  };
}

function checkPacked(field: Field, cursor: Cursor, from: number, to: number): void {
  const isWhole =
    field.packedBytes === undefined
      ? from === to || cursor.bytes(to - 1, to)[0]! < 0x80
      : (to - from) % field.packedBytes === 0;
  if (!isWhole) throw notOnnx(from, `${field.name} that ends within an element`);
}

function notOnnx(at: number, problem: string): OnnxError {
  return new OnnxError("not-onnx", `byte ${at}`, `this is no ONNX model: ${problem}`, "Give an .onnx file");
}
