import type { ByteBuffer } from "flatbuffers";
import { FormatError } from "../base/errors.js";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const REMEDY = "Write it again with onnxruntime's AdapterFormat";

/** Where the elements of a vector lie. */
export interface Vector {
  readonly start: number;
  readonly length: number;
}

/**
 * A table of a FlatBuffer whose every offset is checked before it is followed, as the library's JavaScript does not:
 * `Verifier` in flatbuffers' verifier.h. Offsets lead forward only, so that none can come back to itself.
 */
export class Table {
  readonly #buffer: ByteBuffer;
  readonly #at: number;
  readonly #vtable: number;
  readonly #vtableBytes: number;
  readonly #tableBytes: number;

  /** @throws FormatError `bad-offset` */
  constructor(buffer: ByteBuffer, at: number) {
    this.#buffer = buffer;
    this.#at = at;
    within(buffer, at, 4);
    this.#vtable = at - buffer.readInt32(at);
    within(buffer, this.#vtable, 4);
    this.#vtableBytes = buffer.readUint16(this.#vtable);
    this.#tableBytes = buffer.readUint16(this.#vtable + 2);
    within(buffer, this.#vtable, this.#vtableBytes);
    within(buffer, at, this.#tableBytes);
    if (this.#vtableBytes < 4 || this.#vtableBytes % 2 !== 0 || this.#tableBytes < 4) lie(this.#vtable);
  }

  /** The table that a buffer begins with. @throws FormatError `bad-offset` */
  static root(buffer: ByteBuffer): Table {
    return new Table(buffer, follow(buffer, 0));
  }

  /** 0 if it is absent. */
  int32(field: number): number {
    const at = this.#field(field);
    return at === null ? 0 : this.#buffer.readInt32(at);
  }

  vector(field: number, elementBytes: number): Vector | null {
    const at = this.#field(field);
    if (at === null) return null;
    const start = follow(this.#buffer, at) + 4;
    within(this.#buffer, start - 4, 4);
    const length = this.#buffer.readUint32(start - 4);
    within(this.#buffer, start, length * elementBytes);
    return { start, length };
  }

  /** A text, which a zero byte ends. @throws FormatError `bad-name` if it is not UTF-8 */
  text(field: number): string | null {
    const vector = this.vector(field, 1);
    if (vector === null) return null;
    const end = vector.start + vector.length;
    within(this.#buffer, end, 1);
    if (this.#buffer.readUint8(end) !== 0) lie(end);
    try {
      return UTF8.decode(this.#buffer.bytes().subarray(vector.start, end));
    } catch (cause) {
      throw new FormatError("bad-name", `byte ${vector.start}`, "is not UTF-8", REMEDY, { cause });
    }
  }

  /** The tables that a vector of offsets leads to, one at a time. */
  *tables(field: number): Generator<Table> {
    const { start, length } = this.vector(field, 4) ?? { start: 0, length: 0 };
    for (let i = 0; i < length; i++) yield new Table(this.#buffer, follow(this.#buffer, start + 4 * i));
  }

  /** Where a field of four bytes lies; null if it is absent. */
  #field(field: number): number | null {
    const entry = 4 + 2 * field;
    const offset = entry + 2 <= this.#vtableBytes ? this.#buffer.readUint16(this.#vtable + entry) : 0;
    if (offset === 0) return null;
    if (offset < 4 || offset + 4 > this.#tableBytes) lie(this.#vtable + entry);
    return this.#at + offset;
  }
}

function follow(buffer: ByteBuffer, at: number): number {
  within(buffer, at, 4);
  const offset = buffer.readUint32(at);
  if (offset === 0) lie(at);
  return at + offset;
}

function within(buffer: ByteBuffer, at: number, length: number): void {
  if (at >= 0 && at + length <= buffer.capacity()) return;
  const problem = `needs ${length} bytes, the file ends at ${buffer.capacity()}`;
  throw new FormatError("bad-offset", `byte ${at}`, problem, REMEDY);
}

function lie(at: number): never {
  throw new FormatError("bad-offset", `byte ${at}`, "holds what no FlatBuffer has there", REMEDY);
}
