import { checkBytes } from "./bytes.js";
import { FormatError } from "./errors.js";

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads bytes from front to back, little-endian, and never past the end. */
export class Cursor {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  /** @throws FormatError `invalid-argument` */
  constructor(bytes: Uint8Array) {
    checkBytes(bytes);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get at(): number {
    return this.#at;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(what: string): number {
    return this.#view.getUint8(this.#take(1, what));
  }

  u16(what: string): number {
    return this.#view.getUint16(this.#take(2, what), true);
  }

  u32(what: string): number {
    return this.#view.getUint32(this.#take(4, what), true);
  }

  u64(what: string): bigint {
    return this.#view.getBigUint64(this.#take(8, what), true);
  }

  /** A u64 that a number holds exactly. @throws FormatError `bad-header` above 2^53 - 1 */
  size(what: string): number {
    const at = this.#take(8, what);
    const value = this.#view.getUint32(at + 4, true) * 2 ** 32 + this.#view.getUint32(at, true);
    if (Number.isSafeInteger(value)) return value;
    throw new FormatError("bad-header", `byte ${at}`, `says ${what} is ${value}`, "Restore the file from a copy");
  }

  /** A u64 that says how many of something follow, of at least `bytesEach` bytes; refused at once if they cannot fit. */
  count(what: string, bytesEach: number): number {
    const at = this.#at;
    const count = this.size(what);
    if (count * bytesEach <= this.left) return count;
    const problem = `says ${what} is ${count}, but ${this.left} bytes are left`;
    throw new FormatError("truncated", `byte ${at}`, problem, "Restore the file from a copy");
  }

  f32(what: string): number {
    return this.#view.getFloat32(this.#take(4, what), true);
  }

  /** A view of the next bytes. */
  bytes(length: number, what: string): Uint8Array {
    const at = this.#take(length, what);
    return this.#bytes.subarray(at, at + length);
  }

  /** The next bytes as UTF-8. @throws FormatError `bad-name` if they are none */
  text(length: number, what: string): string {
    const at = this.#at;
    const bytes = this.bytes(length, what);
    try {
      return UTF8.decode(bytes);
    } catch (cause) {
      const remedy = "Restore the file from a copy";
      throw new FormatError("bad-name", `byte ${at}`, `${what} is not UTF-8`, remedy, { cause });
    }
  }

  /** The next float32 values, copied; nothing is allocated unless they are all there. */
  floats(count: number, what: string): Float32Array {
    return new Float32Array(new Uint8Array(this.bytes(4 * count, what)).buffer);
  }

  /** Refuses a file with something after what was read. @throws FormatError `bad-header` */
  end(): void {
    if (this.left === 0) return;
    throw new FormatError("bad-header", `byte ${this.#at}`, `${this.left} bytes are left over`, "Restore the file");
  }

  #take(length: number, what: string): number {
    const at = this.#at;
    if (length > this.left) {
      throw new FormatError(
        "truncated",
        `byte ${at}`,
        `${what} takes ${length} bytes, ${this.left} are left`,
        "Restore the file from a copy",
      );
    }
    this.#at = at + length;
    return at;
  }
}
