import { MicroLoraError } from "../base/errors.js";
import type { Kernels, KernelsName, Pointer } from "./contract.js";
import { loadKernels } from "./load.js";
import { Allocator } from "./memory.js";

const PAGE_BYTES = 65_536;
const DEFAULT_MEMORY_BYTES = 256 * 1024 * 1024;
const MAX_MEMORY_BYTES = 4 * 1024 * 1024 * 1024 - PAGE_BYTES;

export interface RuntimeOptions {
  /** Forces an implementation; by default the fastest one that this engine can run. */
  readonly kernels?: KernelsName;
  /** Size of the one fixed memory, rounded up to 64 KiB; 256 MiB by default. Pages never touched cost nothing. */
  readonly memoryBytes?: number;
}

/**
 * One fixed memory and the kernels over it. Adapters of any number of users lie side by side in it, so that one kernel
 * call can serve rows of all of them; it never grows, so that no view is ever detached.
 */
export class Runtime {
  readonly kernels: Kernels;
  /** @internal For further kernels over it. */
  readonly memory: WebAssembly.Memory;
  readonly buffer: ArrayBufferLike;
  /** The whole memory as float32: index = pointer / 4. */
  readonly f32: Float32Array;
  readonly u32: Uint32Array;
  readonly memoryBytes: number;
  /** Blocks for what has to be copied into the memory or out of it; their contents are good until the next call. */
  readonly scratch: { readonly [K in ScratchName]: Scratch };
  readonly #allocator: Allocator;

  private constructor(memory: WebAssembly.Memory, kernels: Kernels) {
    this.kernels = kernels;
    this.memory = memory;
    this.buffer = memory.buffer;
    this.f32 = new Float32Array(memory.buffer);
    this.u32 = new Uint32Array(memory.buffer);
    this.memoryBytes = memory.buffer.byteLength;
    this.#allocator = new Allocator(memory.buffer.byteLength);
    const scratch = () => new Scratch(this);
    this.scratch = {
      input: scratch(),
      gradient: scratch(),
      output: scratch(),
      intermediate: scratch(),
      rows: scratch(),
    };
  }

  /**
   * @throws MicroLoraError `invalid-config` for a size out of range, `memory-full` where the engine refuses it,
   * `kernels-unavailable` where the forced kernels do not run here
   */
  static async create(options: RuntimeOptions = {}): Promise<Runtime> {
    const bytes = options.memoryBytes ?? DEFAULT_MEMORY_BYTES;
    if (!(bytes >= PAGE_BYTES && bytes <= MAX_MEMORY_BYTES)) {
      throw new MicroLoraError(
        "invalid-config",
        "memoryBytes",
        `is ${bytes}`,
        `Pass a number in [${PAGE_BYTES}, ${MAX_MEMORY_BYTES}]`,
      );
    }
    const memory = createMemory(Math.ceil(bytes / PAGE_BYTES));
    return new Runtime(memory, await loadKernels(memory, options.kernels));
  }

  /** Bytes of the memory that are in use. */
  get usedBytes(): number {
    return this.#allocator.usedBytes;
  }

  /** A zeroed block of `floats` elements. @throws MicroLoraError `memory-full` */
  allocate(floats: number): Pointer {
    const pointer = this.#allocator.allocate(floats);
    this.f32.fill(0, pointer >>> 2, (pointer >>> 2) + floats);
    return pointer;
  }

  free(pointer: Pointer): void {
    this.#allocator.free(pointer);
  }

  view(pointer: Pointer, floats: number): Float32Array {
    return new Float32Array(this.buffer, pointer, floats);
  }
}

type ScratchName = "input" | "gradient" | "output" | "intermediate" | "rows";

/** A block that grows by being replaced. */
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

  /** Where at least `floats` elements have room. @throws MicroLoraError `memory-full` */
  reserve(floats: number): Pointer {
    if (floats > this.#capacity) {
      const pointer = this.#runtime.allocate(floats);
      this.#runtime.free(this.#pointer);
      this.#pointer = pointer;
      this.#capacity = floats;
    }
    return this.#pointer;
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

const shared = new Map<KernelsName | "best", Promise<Runtime>>();

/** The runtime that everything shares which asks for none of its own: one per kind of kernels. */
export function sharedRuntime(kernels?: KernelsName): Promise<Runtime> {
  const key = kernels ?? "best";
  let runtime = shared.get(key);
  if (runtime === undefined) {
    runtime = Runtime.create(kernels === undefined ? {} : { kernels });
    shared.set(key, runtime);
    runtime.catch(() => shared.delete(key));
  }
  return runtime;
}

function createMemory(pages: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages });
  } catch (cause) {
    throw new MicroLoraError(
      "memory-full",
      "memoryBytes",
      `the engine refused ${pages * PAGE_BYTES} bytes`,
      "Ask for less",
      { cause },
    );
  }
}
