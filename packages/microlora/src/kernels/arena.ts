import type { Pointer } from "./contract.js";
import type { Allocator } from "./memory.js";

/** Frees the arenas of objects that were forgotten without `close()`. */
const forgotten =
  typeof FinalizationRegistry === "function" ? new FinalizationRegistry<Arena>((arena) => arena.close()) : undefined;

/**
 * The blocks of one object, freed together. A block of which a caller has a view is given to nobody else before that view is gone; until
 * then the view shows NaN.
 */
export class Arena {
  readonly #buffer: ArrayBufferLike;
  readonly #allocator: Allocator;
  /** Views that callers have, by block. */
  readonly #blocks = new Map<Pointer, WeakRef<Float32Array>[]>();

  /** @param owner when it is garbage, the arena is closed; its blocks must not lead back to it */
  constructor(buffer: ArrayBufferLike, allocator: Allocator, owner: object) {
    this.#buffer = buffer;
    this.#allocator = allocator;
    forgotten?.register(owner, this, this);
  }

  /** A zeroed block of `floats` elements. @throws MicroLoraError `memory-full` */
  allocate(floats: number): Pointer {
    const pointer = this.#allocator.allocate(floats);
    this.view(pointer, floats).fill(0);
    this.#blocks.set(pointer, []);
    return pointer;
  }

  /** Frees a block of this arena; 0 is no block. */
  free(pointer: Pointer): void {
    const views = this.#blocks.get(pointer);
    if (views === undefined) return;
    this.#blocks.delete(pointer);
    const kept = views.filter((view) => view.deref()?.fill(Number.NaN) !== undefined);
    if (kept.length === 0) this.#allocator.free(pointer);
    else this.#allocator.retire(pointer, kept);
  }

  /** A view for this object's own use, which it must not hand on. */
  view(pointer: Pointer, floats: number): Float32Array {
    return new Float32Array(this.#buffer, pointer, floats);
  }

  /** A view for a caller. @param block that it lies in; @param pointer where in the block it begins */
  lend(block: Pointer, pointer: Pointer, floats: number): Float32Array {
    const view = this.view(pointer, floats);
    this.#blocks.get(block)?.push(new WeakRef(view));
    return view;
  }

  /** Frees every block. */
  close(): void {
    forgotten?.unregister(this);
    for (const pointer of [...this.#blocks.keys()]) this.free(pointer);
  }
}
