import { MicroLoraError } from "../base/errors.js";
import type { Pointer } from "./contract.js";

/** First usable byte: 0 is the null pointer, and everything is aligned to 16. */
const FIRST = 16;
const ALIGNMENT = 16;

/**
 * Hands out blocks of one fixed memory: exact-size free lists first (users of one model all want the same sizes), then
 * fresh bytes, then what free neighbours give when they are joined.
 */
export class Allocator {
  readonly #capacity: number;
  #top = FIRST;
  #used = 0;
  /** Free blocks by size in bytes. */
  readonly #free = new Map<number, Pointer[]>();
  /** Sizes of the blocks in use. */
  readonly #sizes = new Map<Pointer, number>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Bytes in use. */
  get usedBytes(): number {
    return this.#used;
  }

  /**
   * A zeroed-by-the-caller block of `floats` float32 elements, aligned to 16 bytes.
   * @throws MicroLoraError `memory-full`
   */
  allocate(floats: number): Pointer {
    const size = Math.max(ALIGNMENT, Math.ceil((floats * 4) / ALIGNMENT) * ALIGNMENT);
    const pointer = this.#free.get(size)?.pop() ?? this.#fresh(size) ?? this.#joined(size);
    if (pointer === undefined) {
      throw new MicroLoraError(
        "memory-full",
        "runtime",
        `${size} bytes wanted, ${this.#capacity - FIRST - this.#used} of ${this.#capacity} free`,
        "Dispose of adapters, or create a runtime with more memoryBytes",
      );
    }
    this.#sizes.set(pointer, size);
    this.#used += size;
    return pointer;
  }

  free(pointer: Pointer): void {
    const size = this.#sizes.get(pointer);
    if (size === undefined) return;
    this.#sizes.delete(pointer);
    this.#used -= size;
    this.#keep(pointer, size);
  }

  #keep(pointer: Pointer, size: number): void {
    const list = this.#free.get(size);
    if (list === undefined) this.#free.set(size, [pointer]);
    else list.push(pointer);
  }

  #fresh(size: number): Pointer | undefined {
    if (this.#top + size > this.#capacity) return undefined;
    const pointer = this.#top;
    this.#top += size;
    return pointer;
  }

  /** Joins all free neighbours, gives the last one back to the fresh bytes, and takes the first that is large enough. */
  #joined(size: number): Pointer | undefined {
    const blocks = [...this.#free].flatMap(([bytes, pointers]) => pointers.map((pointer) => ({ pointer, bytes })));
    blocks.sort((a, b) => a.pointer - b.pointer);
    this.#free.clear();
    const runs: { pointer: Pointer; bytes: number }[] = [];
    for (const block of blocks) {
      const last = runs.at(-1);
      if (last !== undefined && last.pointer + last.bytes === block.pointer) last.bytes += block.bytes;
      else runs.push(block);
    }
    const last = runs.at(-1);
    if (last !== undefined && last.pointer + last.bytes === this.#top) {
      this.#top = last.pointer;
      runs.pop();
    }
    let found = this.#fresh(size);
    for (const run of runs) {
      if (found === undefined && run.bytes >= size) {
        found = run.pointer;
        run.pointer += size;
        run.bytes -= size;
      }
      if (run.bytes > 0) this.#keep(run.pointer, run.bytes);
    }
    return found;
  }
}
