import { checkObject, withDefaults } from "../base/check.js";
import { refusal, shown } from "../base/errors.js";
import { Arena } from "./arena.js";
import type { Kernels, KernelsName, Pointer } from "./contract.js";
import { type KernelMemory, loadKernels } from "./load.js";
import { Allocator } from "./memory.js";
import { Scratch } from "./scratch.js";

const PAGE_BYTES = 65_536;
const MAX_MEMORY_BYTES = 4 * 1024 * 1024 * 1024 - PAGE_BYTES;
/** Tried in turn where no size is asked for: some engines refuse the larger ones (a Cloudflare Worker has 128 MB in all). */
const DEFAULT_MEMORY_BYTES = [256, 64, 16].map((megabytes) => megabytes * 1024 * 1024);

/** Options of `Runtime.create`. */
export interface RuntimeOptions {
  /**
   * Forces an implementation; by default `simd`, whose results are the same to the bit on every engine and CPU, or `scalar` where the
   * engine has no SIMD or refuses to compile WebAssembly. `relaxed` is up to a fifth faster; its last bits depend on the CPU.
   */
  readonly kernels?: KernelsName;
  /**
   * Size of the one fixed memory in bytes, rounded up to 64 KiB; 256 MiB by default, less where the engine refuses that. Pages never touched
   * cost nothing.
   */
  readonly memoryBytes?: number;
}

const OPTIONS = { kernels: undefined, memoryBytes: undefined } as const;

/**
 * One fixed memory and the kernels over it. Adapters of any number of users lie side by side in it, so that one kernel
 * call can serve rows of all of them; it never grows, so that no view is ever detached.
 */
export class Runtime {
  /** The kernels that run, with their name. */
  readonly kernels: Kernels;
  /** @internal For further kernels over it. */
  readonly memory: KernelMemory;
  /** The memory itself. */
  readonly buffer: ArrayBufferLike;
  /** The whole memory as float32: index = pointer / 4. */
  readonly f32: Float32Array;
  /** The whole memory as unsigned 32-bit integers: index = pointer / 4. */
  readonly u32: Uint32Array;
  /** Size of the memory in bytes. */
  readonly memoryBytes: number;
  /** @internal Blocks for what has to be copied into the memory or out of it; their contents are good until the next call. */
  readonly scratch: { readonly [K in ScratchName]: Scratch };
  readonly #allocator: Allocator;

  private constructor(memory: KernelMemory, kernels: Kernels) {
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
   * Makes a runtime with a memory of its own.
   * @throws MicroLoraError `invalid-config` for an option that does not exist or a size out of range, `memory-full` where the engine
   * refuses the size, `kernels-unavailable` where the forced kernels do not run here
   */
  static async create(options: RuntimeOptions = {}): Promise<Runtime> {
    const { kernels, memoryBytes } = withDefaults(OPTIONS, options, "options");
    const memory = createMemory(memoryBytes);
    return new Runtime(memory, await loadKernels(memory, kernels));
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

  /** Gives a block back. @param pointer what `allocate` gave */
  free(pointer: Pointer): void {
    this.#allocator.free(pointer);
  }

  /** A view of `floats` elements from a pointer on. */
  view(pointer: Pointer, floats: number): Float32Array {
    return new Float32Array(this.buffer, pointer, floats);
  }

  /**
   * @internal Room in several scratch blocks at once, whose contents are lost. Where growing one after the other leaves memory in pieces,
   * all of them are given back first. @throws MicroLoraError `memory-full`
   */
  reserveScratch(floats: { readonly [K in ScratchName]?: number }): void {
    const wanted = Object.entries(floats) as [ScratchName, number][];
    const reserve = () => {
      for (const [name, count] of wanted) this.scratch[name].reserve(count);
    };
    try {
      reserve();
    } catch {
      const before = Object.values(this.scratch).map((scratch) => [scratch, scratch.release()] as const);
      this.#allocator.join();
      try {
        reserve();
      } catch (error) {
        for (const [scratch, capacity] of before.sort((a, b) => b[1] - a[1])) scratch.reserve(capacity);
        throw error;
      }
    }
  }

  /** @internal The blocks of one object, freed when it is closed, or forgotten. */
  arena(owner: object): Arena {
    return new Arena(this.buffer, this.#allocator, owner);
  }
}

type ScratchName = "input" | "gradient" | "output" | "intermediate" | "rows";

const shared = new Map<KernelsName | "default", Promise<Runtime>>();

/** The runtime that everything shares which asks for none of its own: one for each kind of kernels, the default's among them. */
export async function sharedRuntime(kernels?: KernelsName): Promise<Runtime> {
  const byDefault = sharedAs("default", {});
  if (kernels === undefined || (await byDefault).kernels.name === kernels) return byDefault;
  return sharedAs(kernels, { kernels });
}

function sharedAs(key: KernelsName | "default", options: RuntimeOptions): Promise<Runtime> {
  let runtime = shared.get(key);
  if (runtime === undefined) {
    runtime = Runtime.create(options);
    shared.set(key, runtime);
    runtime.catch(() => shared.delete(key));
  }
  return runtime;
}

/** Refuses what is no runtime. @throws MicroLoraError `invalid-config` */
export function checkRuntime(runtime: unknown): asserts runtime is Runtime {
  checkObject(runtime, "runtime");
  if (runtime instanceof Runtime) return;
  throw refusal("invalid-config", "runtime", `is ${shown(runtime)}`, "Pass what Runtime.create gives");
}

function createMemory(bytes: number | undefined): KernelMemory {
  if (bytes === undefined) return defaultMemory();
  if (typeof bytes === "number" && bytes >= PAGE_BYTES && bytes <= MAX_MEMORY_BYTES) {
    return memoryOf(Math.ceil(bytes / PAGE_BYTES));
  }
  const remedy = `Pass a number in [${PAGE_BYTES}, ${MAX_MEMORY_BYTES}]`;
  throw refusal("invalid-config", "memoryBytes", `is ${shown(bytes)}`, remedy);
}

function defaultMemory(): KernelMemory {
  let refused: unknown;
  for (const bytes of DEFAULT_MEMORY_BYTES) {
    try {
      return memoryOf(bytes / PAGE_BYTES);
    } catch (error) {
      refused = error;
    }
  }
  throw refused;
}

function memoryOf(pages: number): KernelMemory {
  try {
    if (typeof WebAssembly !== "object") return { buffer: new ArrayBuffer(pages * PAGE_BYTES) };
    return new WebAssembly.Memory({ initial: pages, maximum: pages });
  } catch (cause) {
    const problem = `the engine refused ${pages * PAGE_BYTES} bytes`;
    throw refusal("memory-full", "memoryBytes", problem, "Ask for less", { cause });
  }
}
