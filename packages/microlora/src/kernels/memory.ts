import { refusal } from "../base/errors.js";
import type { Pointer } from "./contract.js";

/** First usable byte: 0 is the null pointer, and everything is aligned to 16. */
const FIRST = 16;
const ALIGNMENT = 16;

/** A block that was freed while somebody may still hold a view of it. */
interface Retired {
  readonly pointer: Pointer;
  readonly size: number;
  readonly views: readonly WeakRef<Float32Array>[];
}

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
  #retired: Retired[] = [];
  #retiredBytes = 0;
  /** Number of retired blocks from which on they are looked through again. */
  #lookAt = 64;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** Bytes in use, retired blocks not among them. */
  get usedBytes(): number {
    return this.#used;
  }

  /**
   * A block of `floats` float32 elements, aligned to 16 bytes, whose contents are the caller's to write.
   * @throws MicroLoraError `memory-full`
   */
  allocate(floats: number): Pointer {
    const size = Math.max(ALIGNMENT, Math.ceil((floats * 4) / ALIGNMENT) * ALIGNMENT);
    const pointer = this.#free.get(size)?.pop() ?? this.#fresh(size) ?? this.#reclaimed(size);
    if (pointer === undefined) {
      throw refusal(
        "memory-full",
        "runtime",
        `${size} bytes wanted, ${this.#capacity - FIRST - this.#used - this.#retiredBytes} of ${this.#capacity} free`,
        "Close what is no longer needed and drop its views, or create a runtime with more memoryBytes",
      );
    }
    this.#sizes.set(pointer, size);
    this.#used += size;
    return pointer;
  }

  free(pointer: Pointer): void {
    const size = this.#taken(pointer);
    if (size !== undefined) this.#keep(pointer, size);
  }

  /** Frees a block once none of these views of it is left. */
  retire(pointer: Pointer, views: readonly WeakRef<Float32Array>[]): void {
    const size = this.#taken(pointer);
    if (size === undefined) return;
    this.#retired.push({ pointer, size, views });
    this.#retiredBytes += size;
    if (this.#retired.length >= this.#lookAt) this.#release();
  }

  /** Joins all free neighbours, so that the next blocks lie close together. */
  join(): void {
    this.#release();
    this.#joined(Number.POSITIVE_INFINITY);
  }

  /** The size of a block that was in use until now; undefined if it was not. */
  #taken(pointer: Pointer): number | undefined {
    const size = this.#sizes.get(pointer);
    if (size === undefined) return undefined;
    this.#sizes.delete(pointer);
    this.#used -= size;
    return size;
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

  #reclaimed(size: number): Pointer | undefined {
    this.#release();
    return this.#free.get(size)?.pop() ?? this.#joined(size);
  }

  /** Frees the retired blocks of which no view is left. */
  #release(): void {
    const held: Retired[] = [];
    for (const block of this.#retired) {
      if (block.views.some((view) => view.deref() !== undefined)) held.push(block);
      else {
        this.#retiredBytes -= block.size;
        this.#keep(block.pointer, block.size);
      }
    }
    this.#retired = held;
    this.#lookAt = Math.max(64, 2 * held.length);
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
