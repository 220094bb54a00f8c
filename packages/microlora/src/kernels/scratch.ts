import type { Pointer } from "./contract.js";
import type { Runtime } from "./runtime.js";

/** A block of work space that grows by being replaced; what lies in it is good until the next call. */
export class Scratch {
  readonly #runtime: Runtime;
  #pointer: Pointer = 0;
  #capacity = 0;
  #found: Float32Array | undefined;
  #foundAt: Pointer = 0;
  #view: Float32Array | undefined;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Where at least `floats` elements have room; what lay there is lost. @throws MicroLoraError `memory-full` */
  reserve(floats: number): Pointer {
    if (floats > this.#capacity) this.#grow(floats);
    return this.#pointer;
  }

  /** Frees the old block first, so that a batch that grows needs no more memory than one that comes at once. */
  #grow(floats: number): void {
    const before = this.release();
    try {
      this.#pointer = this.#runtime.allocate(floats);
      this.#capacity = floats;
    } catch (error) {
      if (before > 0) this.#pointer = this.#runtime.allocate(before);
      this.#capacity = before;
      throw error;
    }
  }

  /** Gives the block back; returns how many floats it had room for. */
  release(): number {
    const capacity = this.#capacity;
    this.#runtime.free(this.#pointer);
    this.#pointer = 0;
    this.#capacity = 0;
    this.#view = undefined;
    return capacity;
  }

  /** Where `values` lie in the memory: in place if they are in it already, else copied here. */
  place(values: Float32Array): Pointer {
    const found = this.find(values);
    if (found !== 0) return found;
    const pointer = this.reserve(values.length);
    this.#runtime.f32.set(values, pointer >>> 2);
    return pointer;
  }

  /**
   * Where `values` lie in the memory, 0 if they do not. The last array found is remembered, since asking an array for
   * its buffer takes longer than a small kernel.
   */
  find(values: Float32Array): Pointer {
    if (values === this.#found) return this.#foundAt;
    if (values.buffer !== this.#runtime.buffer) return 0;
    this.#found = values;
    this.#foundAt = values.byteOffset;
    return this.#foundAt;
  }

  /** Copies back what a kernel wrote, unless it was written in place. @param pointer what `place` gave for `values` */
  giveBack(values: Float32Array, pointer: Pointer): void {
    if (pointer !== this.#pointer) return;
    if (this.#view?.length !== values.length || this.#view.byteOffset !== pointer) {
      this.#view = this.#runtime.view(pointer, values.length);
    }
    values.set(this.#view);
  }
}
