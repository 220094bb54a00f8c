import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { FIELDS, type Messages } from "./onnx.generated.js";

/** A message of onnx.proto. */
export type MessageName = keyof Messages;

/** A field of a message, as the table has it. */
export interface Field {
  readonly number: number;
  readonly name: string;
  readonly isRepeated: boolean;
  readonly wireType: WireType;
  /** The message that it holds; undefined for a scalar. */
  readonly message: MessageName | undefined;
  /** How a scalar is read and written. */
  readonly scalar: Scalar | undefined;
  /** Whether it is undefined where it is absent, and no zero: messages, and members of a oneof. */
  readonly isOpen: boolean;
}

interface Scalar {
  readonly wireType: WireType;
  readonly zero: unknown;
  read(reader: BinaryReader): unknown;
  write(writer: BinaryWriter, value: never): void;
}

const EMPTY = new Uint8Array();

/** Source: protobuf.dev/programming-guides/encoding */
const SCALARS: Readonly<Record<string, Scalar>> = {
  string: {
    wireType: WireType.LengthDelimited,
    zero: "",
    read: (reader) => reader.string(),
    write: (writer, value) => writer.string(value),
  },
  bytes: {
    wireType: WireType.LengthDelimited,
    zero: EMPTY,
    read: (reader) => reader.bytes(),
    write: (writer, value) => writer.bytes(value),
  },
  float: {
    wireType: WireType.Bit32,
    zero: 0,
    read: (reader) => reader.float(),
    write: (writer, value) => writer.float(value),
  },
  double: {
    wireType: WireType.Bit64,
    zero: 0,
    read: (reader) => reader.double(),
    write: (writer, value) => writer.double(value),
  },
  int32: varint(
    0,
    (reader) => reader.int32(),
    (writer, value) => writer.int32(value),
  ),
  enum: varint(
    0,
    (reader) => reader.int32(),
    (writer, value) => writer.int32(value),
  ),
  int64: varint(
    0n,
    (reader) => BigInt(reader.int64()),
    (writer, value) => writer.int64(value),
  ),
  uint64: varint(
    0n,
    (reader) => BigInt(reader.uint64()),
    (writer, value) => writer.uint64(value),
  ),
};

function varint(zero: number | bigint, read: Scalar["read"], write: Scalar["write"]): Scalar {
  return { wireType: WireType.Varint, zero, read, write };
}

const layouts = new Map<MessageName, ReadonlyMap<number, Field>>();

/** The fields of a message by their numbers. */
export function layoutOf(name: MessageName): ReadonlyMap<number, Field> {
  let layout = layouts.get(name);
  if (layout === undefined) {
    const rows: readonly (readonly [number, string, string, string?])[] = FIELDS[name];
    layout = new Map(rows.map((row) => [row[0], fieldOf(row)]));
    layouts.set(name, layout);
  }
  return layout;
}

function fieldOf([number, name, type, kind]: readonly [number, string, string, string?]): Field {
  const scalar = SCALARS[type];
  const isRepeated = kind === "repeated";
  return {
    ...{ number, name, isRepeated, scalar },
    wireType: scalar?.wireType ?? WireType.LengthDelimited,
    message: scalar === undefined ? (type as MessageName) : undefined,
    isOpen: scalar === undefined || kind === "oneof",
  };
}

/** Reads a message; fields that the table has not are passed over. @throws Error, RangeError for bytes that are none */
export function decode<K extends MessageName>(name: K, bytes: Uint8Array): Messages[K] {
  return read(name, new BinaryReader(bytes), bytes.length) as Messages[K];
}

function read(name: MessageName, reader: BinaryReader, end: number): object {
  const layout = layoutOf(name);
  const message: Record<string, unknown> = {};
  for (const field of layout.values()) {
    message[field.name] = field.isRepeated ? [] : field.isOpen ? undefined : field.scalar!.zero;
  }
  while (reader.pos < end) {
    const [number, wireType] = reader.tag();
    const field = layout.get(number);
    if (field === undefined) reader.skip(wireType, number);
    else readField(message, field, wireType, reader);
  }
  return message;
}

function readField(message: Record<string, unknown>, field: Field, wireType: WireType, reader: BinaryReader): void {
  const { name, isRepeated, scalar } = field;
  const list = message[name] as unknown[];
  if (scalar === undefined) {
    const length = reader.uint32();
    const value = read(field.message!, reader, reader.pos + length);
    if (isRepeated) list.push(value);
    else message[name] = value;
  } else if (isRepeated && wireType === WireType.LengthDelimited && scalar.wireType !== wireType) {
    const end = reader.uint32() + reader.pos;
    while (reader.pos < end) list.push(scalar.read(reader));
  } else if (isRepeated) list.push(scalar.read(reader));
  else message[name] = scalar.read(reader);
}

/** Some fields of a message, and of those in it; what is undefined is not written. */
export type Fields<T> = {
  readonly [K in keyof T]?: T[K] extends readonly (infer E)[]
    ? readonly (E extends object ? (E extends Uint8Array ? E : Fields<E>) : E)[]
    : T[K] extends Uint8Array
      ? T[K]
      : NonNullable<T[K]> extends object
        ? Fields<NonNullable<T[K]>> | undefined
        : T[K] | undefined;
};

/** Writes a message. @param isSparse leaves out fields that are zero or empty; reading gives such fields their defaults */
export function encode<K extends MessageName>(
  name: K,
  message: Fields<Messages[K]>,
  isSparse = false,
): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  write(name, message as Readonly<Record<string, unknown>>, writer, isSparse);
  return writer.finish() as Uint8Array<ArrayBuffer>;
}

function write(
  name: MessageName,
  message: Readonly<Record<string, unknown>>,
  writer: BinaryWriter,
  isSparse: boolean,
): void {
  for (const field of layoutOf(name).values()) {
    const value = message[field.name];
    if (value === undefined) continue;
    if (field.isRepeated) for (const each of value as readonly unknown[]) writeField(field, each, writer, isSparse);
    else if (!isSparse || field.isOpen || !isZero(value)) writeField(field, value, writer, isSparse);
  }
}

function writeField(
  { number, wireType, message, scalar }: Field,
  value: unknown,
  writer: BinaryWriter,
  isSparse: boolean,
): void {
  writer.tag(number, wireType);
  if (scalar !== undefined) {
    scalar.write(writer, value as never);
    return;
  }
  writer.fork();
  write(message!, value as Readonly<Record<string, unknown>>, writer, isSparse);
  writer.join();
}

function isZero(value: unknown): boolean {
  return value === 0 || value === 0n || value === "" || (value instanceof Uint8Array && value.length === 0);
}
