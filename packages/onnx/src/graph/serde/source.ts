import { BinaryReader } from "@bufbuild/protobuf/wire";

/** The bytes of a model file, in memory or on a disk. */
export interface ByteSource {
  /** Number of bytes. */
  readonly length: number;
  /** Whether `read` gives views of memory that is there anyway. */
  readonly isInMemory: boolean;
  /** The bytes from `offset`, exactly `length` of them; the caller has checked that the source holds them. */
  read(offset: number, length: number): Uint8Array;
}

/** A source over bytes in memory; reading copies nothing. */
export function memorySource(bytes: Uint8Array): ByteSource {
  return { length: bytes.length, isInMemory: true, read: (offset, length) => bytes.subarray(offset, offset + length) };
}

const WINDOW = 1 << 16;
const LONGEST_VARINT = 10;

/** Walks over a source from position to position, holding one window of it. */
export class Cursor {
  position = 0;
  readonly #source: ByteSource;
  #window: Uint8Array = new Uint8Array();
  #reader = new BinaryReader(this.#window);
  #start = 0;

  constructor(source: ByteSource) {
    this.#source = source;
  }

  /** Field number and wire type. Throws a RangeError past the end, an Error where there is no tag. */
  tag(): [field: number, wireType: number] {
    return this.#decode((reader) => reader.tag());
  }

  /** A length or a small unsigned number. */
  uint32(): number {
    return this.#decode((reader) => reader.uint32());
  }

  /** Steps over a varint of up to 64 bits. */
  skipVarint(): void {
    this.#decode((reader) => reader.uint64());
  }

  /** The bytes between two positions, which the source must hold. */
  bytes(from: number, to: number): Uint8Array {
    const isInWindow = from >= this.#start && to <= this.#start + this.#window.length;
    return isInWindow
      ? this.#window.subarray(from - this.#start, to - this.#start)
      : this.#source.read(from, to - from);
  }

  #decode<T>(decode: (reader: BinaryReader) => T): T {
    const windowEnd = this.#start + this.#window.length;
    const wantedEnd = Math.min(this.position + LONGEST_VARINT, this.#source.length);
    if (this.position < this.#start || wantedEnd > windowEnd) this.#load(this.position);
    this.#reader.pos = this.position - this.#start;
    const value = decode(this.#reader);
    this.position = this.#start + this.#reader.pos;
    return value;
  }

  #load(position: number): void {
    const length = Math.max(0, Math.min(WINDOW, this.#source.length - position));
    this.#start = position;
    this.#window = this.#source.read(position, length);
    this.#reader = new BinaryReader(this.#window);
  }
}
