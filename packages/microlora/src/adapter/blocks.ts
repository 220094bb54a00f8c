import type { Arena } from "../kernels/arena.js";
import type { AdapterShape, Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";

/** Number of parameters of one adapter: A [rank, in], B [rank, out] and the bias [out]. */
export function paramCountOf(shape: AdapterShape): number {
  return shape.rank * (shape.inFeatures + shape.outFeatures) + (shape.bias === 1 ? shape.outFeatures : 0);
}

/**
 * What learning keeps beside the parameters, each with memory from its first use on only. Blocks have the parameters'
 * layout, unless a method says otherwise.
 */
export const LEARNING_BLOCKS = [
  "fisher",
  "fisherRunning",
  "anchor",
  "pending",
  "momentum",
  "secondMoment",
  "path",
  "pathKept",
] as const;
export type LearningBlock = (typeof LEARNING_BLOCKS)[number];

/** The blocks that a penalty holds on to, which consolidation writes. */
export const PENALTY_BLOCKS: readonly LearningBlock[] = ["fisher", "fisherRunning", "anchor", "path", "pathKept"];

/** Lengths of blocks that do not have the parameters' layout. */
export type BlockLengths = Partial<Readonly<Record<LearningBlock, number>>>;

/** The memory of one adapter: its parameters, a few words of work space, and its learning blocks. */
export class AdapterBlocks {
  readonly shape: AdapterShape;
  readonly length: number;
  readonly parameters: Pointer;
  /** x A [rank]. */
  readonly u: Pointer;
  /** g B [rank]. */
  readonly v: Pointer;
  /** Sums of squares of x and of g [2]. */
  readonly norms: Pointer;
  readonly #runtime: Runtime;
  readonly #arena: Arena;
  readonly #lengths: BlockLengths;
  readonly #reserved = noPointers();
  readonly #used = noPointers();
  /** Views that callers have, by what they show. */
  readonly #lent = new Map<string, Float32Array>();

  /** @throws MicroLoraError `memory-full` */
  constructor(runtime: Runtime, arena: Arena, shape: AdapterShape, lengths: BlockLengths = {}) {
    this.#runtime = runtime;
    this.#arena = arena;
    this.#lengths = lengths;
    this.shape = shape;
    this.length = paramCountOf(shape);
    this.parameters = arena.allocate(this.length + 2 * shape.rank + 2);
    this.u = this.parameters + 4 * this.length;
    this.v = this.u + 4 * shape.rank;
    this.norms = this.v + 4 * shape.rank;
  }

  lengthOf(block: LearningBlock): number {
    return this.#lengths[block] ?? this.length;
  }

  /** Pointer of a learning block in use; else 0. */
  pointer(block: LearningBlock): Pointer {
    return this.#used[block];
  }

  /** Makes room for a learning block, which is not part of the state before `use`. @throws MicroLoraError `memory-full` */
  reserve(block: LearningBlock): void {
    if (this.#reserved[block] === 0) this.#reserved[block] = this.#arena.allocate(this.lengthOf(block));
  }

  /** Pointer of a reserved learning block, made of zeros at its first use. */
  use(block: LearningBlock): Pointer {
    this.#used[block] = this.#reserved[block];
    return this.#used[block];
  }

  /** The numbers of a learning block in use, where they lie: for the library's own use. */
  view(block: LearningBlock): Float32Array | undefined {
    const pointer = this.#used[block];
    return pointer === 0 ? undefined : this.#runtime.view(pointer, this.lengthOf(block));
  }

  /** A caller's live view of a learning block in use. */
  lendBlock(block: LearningBlock): Float32Array | undefined {
    const pointer = this.#used[block];
    return pointer === 0 ? undefined : this.#lend(`${block} ${pointer}`, pointer, pointer, this.lengthOf(block));
  }

  /** A caller's live view of some of the parameters, `floats` elements from the element `from` on. */
  lendParameters(from: number, floats: number): Float32Array {
    return this.#lend(`parameters ${from}`, this.parameters, this.parameters + 4 * from, floats);
  }

  /** Makes a block zeros and no part of the state, but keeps its memory. */
  clear(block: LearningBlock): void {
    const at = this.#used[block] >>> 2;
    if (at !== 0) this.#runtime.f32.fill(0, at, at + this.lengthOf(block));
    this.#used[block] = 0;
  }

  /** Frees a block's memory. */
  drop(block: LearningBlock): void {
    this.#lent.delete(`${block} ${this.#reserved[block]}`);
    this.#arena.free(this.#reserved[block]);
    this.#reserved[block] = 0;
    this.#used[block] = 0;
  }

  free(): void {
    this.#lent.clear();
    for (const block of LEARNING_BLOCKS) this.drop(block);
    this.#arena.free(this.parameters);
  }

  /** The same view each time, since views are dear to make. */
  #lend(what: string, block: Pointer, pointer: Pointer, floats: number): Float32Array {
    let view = this.#lent.get(what);
    if (view === undefined) {
      view = this.#arena.lend(block, pointer, floats);
      this.#lent.set(what, view);
    }
    return view;
  }
}

function noPointers(): { [K in LearningBlock]: Pointer } {
  return Object.fromEntries(LEARNING_BLOCKS.map((block) => [block, 0])) as { [K in LearningBlock]: Pointer };
}
