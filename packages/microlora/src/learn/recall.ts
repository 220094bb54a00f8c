import type { Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";

export interface RecallConfig {
  /** Bytes for kept clicks, 8 * dimensions each. */
  readonly bytes: number;
  /** Inverse temperature of the softmax over the similarities to the keys. */
  readonly sharpness: number;
  /** Length of a new value, and the most that any value grows to. */
  readonly strength: number;
  /** Similarity of a null key, which has no value: queries to which no key is much nearer are left alone. */
  readonly nullSimilarity: number;
  /** Step of the kept values down each new gradient, through the routing; 0 leaves them as they were kept. */
  readonly learningRate: number;
  /** Similarity from which a click takes the place of the nearest kept one; null gives each click a place of its own. */
  readonly mergeSimilarity: number | null;
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
 * y += sum_j w_j value_j, w_j = exp(sharpness s_j) / (exp(sharpness nullSimilarity) + sum_k exp(sharpness s_k)).
 * The softmax reading is that of a modern Hopfield network (Ramsauer et al. 2021, eq. 3); the oldest entry makes room, unless
 * the query is one that is kept already.
 * A click also moves the values that took part, by its exact gradient: dLoss/dvalue_j = w_j dLoss/dy.
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
  /** The row of the key that was nearest in the last routing, and how near it was. */
  #nearest = 0;
  #similarity = 0;

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

  /**
   * Adds what is recalled for x to y.
   * @param x unit vector [dimensions]; @param y [dimensions]
   * @returns the share of the routing that kept clicks have, 1 less that of the null key: how much x is like what was learned from;
   * 1 where nothing is kept
   */
  addTo(x: Pointer, y: Pointer): number {
    if (this.#size === 0) return 1;
    const { kernels, f32 } = this.#runtime;
    const weights = this.#route(x);
    kernels.expandAdd(weights, this.#values, y, this.#size, this.#dimensions);
    let share = 0;
    for (let j = 0; j < this.#size; j++) share += f32[(weights >>> 2) + j]!;
    return Math.min(share, 1);
  }

  /** Makes room for one more click. @throws MicroLoraError `memory-full` */
  reserve(): void {
    if (this.#keys !== 0 || this.capacity === 0) return;
    this.#keys = this.#runtime.allocate(2 * this.capacity * this.#dimensions);
    this.#values = this.#keys + 4 * this.capacity * this.#dimensions;
  }

  /**
   * Learns from one click: what is kept takes a step through the routing, then the click is kept beside it, or in place of the
   * same query's last one, with value = -strength * gradient / |gradient|. A zero gradient teaches nothing.
   * @param x unit vector [dimensions]; @param gradient dLoss/dy [dimensions]
   */
  learn(x: Pointer, gradient: Pointer, gradientNorm: number): void {
    if (this.capacity === 0 || gradientNorm === 0) return;
    if (this.#size > 0) this.#descend(this.#route(x), gradient);
    const { f32 } = this.#runtime;
    const n = this.#dimensions;
    const known = this.#size > 0 && this.#similarity >= (this.config.mergeSimilarity ?? Number.POSITIVE_INFINITY);
    const offset = (known ? this.#nearest : this.#next) * n;
    f32.copyWithin((this.#keys >>> 2) + offset, x >>> 2, (x >>> 2) + n);
    const scale = -this.config.strength / gradientNorm;
    for (let i = 0; i < n; i++) f32[(this.#values >>> 2) + offset + i] = scale * f32[(gradient >>> 2) + i]!;
    if (known) return;
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

  /** The weight of each kept click for x, [size] in scratch memory. */
  #route(x: Pointer): Pointer {
    const { kernels, f32, scratch } = this.#runtime;
    const { sharpness, nullSimilarity } = this.config;
    const weights = scratch.rows.reserve(this.#size);
    const first = weights >>> 2;
    kernels.project(this.#keys, x, weights, this.#size, this.#dimensions);
    this.#nearest = 0;
    for (let j = 1; j < this.#size; j++) if (f32[first + j]! > f32[first + this.#nearest]!) this.#nearest = j;
    this.#similarity = f32[first + this.#nearest]!;
    const highest = Math.max(nullSimilarity, this.#similarity);
    let sum = Math.exp(sharpness * (nullSimilarity - highest));
    for (let j = 0; j < this.#size; j++) {
      const weight = Math.exp(sharpness * (f32[first + j]! - highest));
      f32[first + j] = weight;
      sum += weight;
    }
    for (let j = 0; j < this.#size; j++) f32[first + j]! /= sum;
    return weights;
  }

  /** value_j -= learningRate * w_j * gradient, brought back to `strength` where it grew longer. */
  #descend(weights: Pointer, gradient: Pointer): void {
    const { kernels } = this.#runtime;
    const { learningRate, strength } = this.config;
    if (learningRate === 0) return;
    const n = this.#dimensions;
    kernels.merge(this.#values, this.#size, n, weights, this.#size, gradient, 1, -learningRate);
    for (let j = 0; j < this.#size; j++) {
      const value = this.#values + 4 * j * n;
      const length = Math.sqrt(kernels.sumSquares(value, n));
      if (length > strength) kernels.apply(value, value, n, 1 - strength / length);
    }
  }
}
