import type { Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";

export interface RecallConfig {
  /** Bytes for kept clicks, 8 * dimensions each. */
  readonly bytes: number;
  /** Inverse temperature of the softmax over the similarities to the keys. */
  readonly sharpness: number;
  /** Length of a kept value. */
  readonly strength: number;
  /** Cosine to the nearest key below which recall is silent. */
  readonly gateFrom: number;
  /** Cosine above which it acts in full. */
  readonly gateTo: number;
}

/** The clicks kept, as a checkpoint holds them. */
export interface RecallState {
  /** The row that the next click takes. */
  readonly next: number;
  /** [size, dimensions] */
  readonly keys: Float32Array;
  /** [size, dimensions] */
  readonly values: Float32Array;
}

/**
 * The fast speed of learning: each click kept as a rank-1 adapter of its own, key (x) value, routed by similarity.
 * For a unit query x with similarities s_j = x . key_j:
 * y += gate * sum_j softmax_j(sharpness * s) value_j, gate = clip((max s - gateFrom) / (gateTo - gateFrom), 0, 1).
 * The softmax reading is that of a modern Hopfield network (Ramsauer et al. 2021, eq. 3); the oldest entry makes room.
 */
export class Recall {
  readonly config: RecallConfig;
  /** Number of clicks that fit. */
  readonly capacity: number;
  readonly #runtime: Runtime;
  readonly #dimensions: number;
  #keys: Pointer = 0;
  #values: Pointer = 0;
  #size = 0;
  #next = 0;

  constructor(runtime: Runtime, dimensions: number, config: RecallConfig) {
    this.config = config;
    this.capacity = Math.floor(config.bytes / (8 * dimensions));
    this.#runtime = runtime;
    this.#dimensions = dimensions;
  }

  /** Number of clicks kept. */
  get size(): number {
    return this.#size;
  }

  /** Adds what is recalled for x to y. @param x unit vector [dimensions]; @param y [dimensions] */
  addTo(x: Pointer, y: Pointer): void {
    if (this.#size === 0) return;
    const { kernels, f32, scratch } = this.#runtime;
    const { sharpness, gateFrom, gateTo } = this.config;
    const weights = scratch.rows.reserve(this.#size);
    const first = weights >>> 2;
    kernels.project(this.#keys, x, weights, this.#size, this.#dimensions);
    let nearest = -1;
    for (let j = 0; j < this.#size; j++) nearest = Math.max(nearest, f32[first + j]!);
    const gate = Math.min(1, (nearest - gateFrom) / (gateTo - gateFrom));
    if (!(gate > 0)) return;
    let sum = 0;
    for (let j = 0; j < this.#size; j++) {
      const weight = Math.exp(sharpness * (f32[first + j]! - nearest));
      f32[first + j] = weight;
      sum += weight;
    }
    for (let j = 0; j < this.#size; j++) f32[first + j]! *= gate / sum;
    kernels.expandAdd(weights, this.#values, y, this.#size, this.#dimensions);
  }

  /** Makes room for one more click. @throws MicroLoraError `memory-full` */
  reserve(): void {
    if (this.#keys !== 0 || this.capacity === 0) return;
    this.#keys = this.#runtime.allocate(2 * this.capacity * this.#dimensions);
    this.#values = this.#keys + 4 * this.capacity * this.#dimensions;
  }

  /**
   * Keeps one click, value = -strength * gradient / |gradient|; a zero gradient has nothing to keep.
   * @param x unit vector [dimensions]; @param gradient dLoss/dy [dimensions]
   */
  keep(x: Pointer, gradient: Pointer, gradientNorm: number): void {
    if (this.capacity === 0 || gradientNorm === 0) return;
    const { f32 } = this.#runtime;
    const n = this.#dimensions;
    const offset = this.#next * n;
    f32.copyWithin((this.#keys >>> 2) + offset, x >>> 2, (x >>> 2) + n);
    const scale = -this.config.strength / gradientNorm;
    for (let i = 0; i < n; i++) f32[(this.#values >>> 2) + offset + i] = scale * f32[(gradient >>> 2) + i]!;
    this.#next = (this.#next + 1) % this.capacity;
    this.#size = Math.min(this.#size + 1, this.capacity);
  }

  exportState(): RecallState {
    const rows = (pointer: Pointer) =>
      this.#runtime.f32.slice(pointer >>> 2, (pointer >>> 2) + this.#size * this.#dimensions);
    return { next: this.#next, keys: rows(this.#keys), values: rows(this.#values) };
  }

  /** Takes a checked state of at most `capacity` clicks. @throws MicroLoraError `memory-full` */
  restore(state: RecallState): void {
    if (state.keys.length > 0) this.reserve();
    this.#runtime.f32.set(state.keys, this.#keys >>> 2);
    this.#runtime.f32.set(state.values, this.#values >>> 2);
    this.#size = state.keys.length / this.#dimensions;
    this.#next = state.next;
  }

  free(): void {
    this.#runtime.free(this.#keys);
    this.#keys = 0;
    this.#size = 0;
  }
}
