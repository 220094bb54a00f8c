import { exp } from "../base/exact-math.js";
import type { Arena } from "../kernels/arena.js";
import type { Pointer } from "../kernels/contract.js";
import { perWidth } from "../kernels/per-width.js";
import type { RowKernels } from "../kernels/rows-contract.js";
import { rowKernelsOf } from "../kernels/rows-load.js";
import type { Runtime } from "../kernels/runtime.js";

/** Settings of recall, the fast speed. */
export interface RecallConfig {
  /** Queries that are kept at most; 120 by default, which take 93 KB at 256 dimensions. The oldest makes room. */
  readonly rows: number;
  /** Inverse temperature of the softmax over the similarities to what is kept; 28 by default. */
  readonly sharpness: number;
  /** Most that the vector kept beside a query grows to; 1 by default. */
  readonly strength: number;
  /** Similarity of a null key, which has no value: queries to which no key is much nearer are left alone; 0.6 by default. */
  readonly nullSimilarity: number;
  /** Step of the kept values down each gradient, through the routing; 0.06 by default. */
  readonly learningRate: number;
  /** Similarity from which a query counts as one that is kept already; 0.9 by default. null gives each one a place of its own. */
  readonly mergeSimilarity: number | null;
}

/** The queries kept and what was learned for each, as a checkpoint holds them. */
export interface RecallState {
  /** The row that the next new query takes, once all are taken. */
  readonly next: number;
  /** [size] */
  readonly scales: Float32Array;
  /** Row j is scales[j] * keys[j] [size, dimensions]. */
  readonly keys: Int8Array;
  /** In units of strength * 2^-14 [size, dimensions]. */
  readonly values: Int16Array;
}

/** Codes of a value that is as long as it may be. */
export const VALUE_CODES = 2 ** 14;

/** Routing below this counts as none, so that a click touches few rows. */
const CUTOFF = 0.01;

/** Queries that can be kept at most. */
export const MOST_ROWS = 2 ** 16;

/** Rows that the first click makes room for. */
const FIRST_ROWS = 4;

/** Weights of the routing of one query at a time, shared by all of a runtime with so many rows: without a new row, and with it. */
const roomOf = perWidth((_: Runtime, rows: number) => ({
  before: new Float64Array(rows),
  now: new Float64Array(rows),
}));

/** Width of rows in memory: the kernels take multiples of 8. */
export function paddedWidth(dimensions: number): number {
  return Math.ceil(dimensions / 8) * 8;
}

/** Bytes of memory that recall takes for so many kept queries. */
export function recallBytes({ rows: capacity }: RecallConfig, dimensions: number, size: number): number {
  let rows = 0;
  while (rows < Math.min(size, capacity)) rows = grown(rows, capacity);
  return rows * rowBytes(dimensions);
}

/** Kept queries that fit into so many bytes. */
export function rowsIn(bytes: number, dimensions: number): number {
  return Math.min(MOST_ROWS, Math.floor(bytes / rowBytes(dimensions)));
}

/** A scale, the codes of a value and those of a key. */
function rowBytes(dimensions: number): number {
  return 4 + 3 * paddedWidth(dimensions);
}

/** Half as many rows more, so that few clicks take little memory. */
function grown(rows: number, capacity: number): number {
  return Math.min(capacity, Math.max(FIRST_ROWS, Math.ceil(1.5 * rows)));
}

/**
 * The fast speed of learning: each query kept with a vector of its own, which adds up what clicks say of it. For a unit query x with
 * similarities s_j = x . key_j: y += sum_j w_j value_j, w_j = exp(sharpness s_j) / (exp(sharpness nullSimilarity) + sum_k exp(sharpness s_k)),
 * 0 where it is below 0.01. The softmax reading is that of a modern Hopfield network (Ramsauer et al. 2021, eq. 3). A click steps down its
 * exact gradient, dLoss/dvalue_j = w_j dLoss/dy.
 */
export class Recall {
  readonly config: RecallConfig;
  readonly #runtime: Runtime;
  readonly #kernels: RowKernels;
  readonly #arena: Arena;
  readonly #dimensions: number;
  readonly #width: number;
  /** Length of a value of one code. */
  readonly #unit: number;
  #scales: Pointer = 0;
  /** Rows that have room. */
  #rows = 0;
  #size = 0;
  #next = 0;
  /** How near the nearest key was in the last routing. */
  #similarity = 0;

  /** @param arena of the object that owns it */
  constructor(runtime: Runtime, arena: Arena, dimensions: number, config: RecallConfig) {
    this.config = config;
    this.#runtime = runtime;
    this.#kernels = rowKernelsOf(runtime);
    this.#arena = arena;
    this.#dimensions = dimensions;
    this.#width = paddedWidth(dimensions);
    this.#unit = config.strength / VALUE_CODES;
    roomOf(runtime, config.rows);
  }

  /** Number of queries kept. */
  get size(): number {
    return this.#size;
  }

  /**
   * Routes a query; `addTo` and `learn` go by it.
   * @param x unit vector [width]
   * @returns the share of the routing that kept queries have, in [0, 1]: how much x is like what was learned from
   */
  route(x: Pointer): number {
    const { f32, scratch } = this.#runtime;
    const { sharpness, nullSimilarity, rows } = this.config;
    const { now } = roomOf(this.#runtime, rows);
    const size = this.#size;
    this.#similarity = Number.NEGATIVE_INFINITY;
    if (size === 0) return 0;
    const similarities = scratch.rows.reserve(size);
    this.#kernels.projectKeys(this.#keys, this.#scales, x, similarities, size, this.#width);
    const first = similarities >>> 2;
    for (let j = 0; j < size; j++) this.#similarity = Math.max(this.#similarity, f32[first + j]!);
    const highest = Math.max(nullSimilarity, this.#similarity);
    let sum = exp(sharpness * (nullSimilarity - highest));
    for (let j = 0; j < size; j++) {
      now[j] = exp(sharpness * (f32[first + j]! - highest));
      sum += now[j]!;
    }
    let share = 0;
    for (let j = 0; j < size; j++) {
      const weight = now[j]! / sum;
      now[j] = weight < CUTOFF ? 0 : weight;
      share += now[j]!;
    }
    return Math.min(share, 1);
  }

  /** Adds what is recalled for the query that was routed last. @param y [width] */
  addTo(y: Pointer): void {
    const { now } = roomOf(this.#runtime, this.config.rows);
    for (let j = 0; j < this.#size; j++) {
      if (now[j]! > 0) this.#kernels.addValue(this.#valueOf(j), y, this.#width, now[j]! * this.#unit);
    }
  }

  /** Makes room for one more query, and for the routing. @throws MicroLoraError `memory-full`; nothing has changed then */
  reserve(): void {
    const { rows } = this.config;
    this.#grow(Math.min(this.#size + 1, rows));
    this.#runtime.scratch.rows.reserve(this.#rows);
  }

  /**
   * Learns for the query that was routed last, for which there is room: keeps it where it is a new one, then moves what took part.
   * @param x unit vector [width]; @param gradient dLoss/dy [width]
   * @param scale of the step; @param doubt share of what took part that is forgotten
   */
  learn(x: Pointer, gradient: Pointer, scale: number, doubt: number): void {
    const { learningRate, mergeSimilarity, rows } = this.config;
    const { before, now } = roomOf(this.#runtime, rows);
    before.set(now);
    if (this.#similarity < (mergeSimilarity ?? Number.POSITIVE_INFINITY) && rows > 0) {
      before[this.#keep(x)] = 0;
      this.route(x);
    }
    for (let j = 0; j < this.#size; j++) {
      const forgotten = doubt * before[j]!;
      if (now[j] === 0 && forgotten === 0) continue;
      const step = (-learningRate * scale * now[j]!) / this.#unit;
      this.#kernels.moveValue(this.#valueOf(j), gradient, this.#width, 1 - forgotten, step, VALUE_CODES);
    }
  }

  exportState(): RecallState {
    const { buffer } = this.#runtime;
    const n = this.#dimensions;
    const size = this.#size;
    const state = {
      next: this.#next,
      scales: this.#runtime.f32.slice(this.#scales >>> 2, (this.#scales >>> 2) + size),
      keys: new Int8Array(size * n),
      values: new Int16Array(size * n),
    };
    for (let j = 0; j < size; j++) {
      state.keys.set(new Int8Array(buffer, this.#keyOf(j), n), j * n);
      state.values.set(new Int16Array(buffer, this.#valueOf(j), n), j * n);
    }
    return state;
  }

  /** Takes a checked state of at most `rows` queries. @throws MicroLoraError `memory-full` */
  restore({ next, scales, keys, values }: RecallState): void {
    const { buffer, f32 } = this.#runtime;
    const n = this.#dimensions;
    this.#grow(scales.length);
    this.#runtime.scratch.rows.reserve(this.#rows);
    f32.set(scales, this.#scales >>> 2);
    for (let j = 0; j < scales.length; j++) {
      new Int8Array(buffer, this.#keyOf(j), n).set(keys.subarray(j * n, (j + 1) * n));
      new Int16Array(buffer, this.#valueOf(j), n).set(values.subarray(j * n, (j + 1) * n));
    }
    this.#size = scales.length;
    this.#next = next;
  }

  /** Stores a query and returns its row. When recall is full, the query replaces the oldest one. */
  #keep(x: Pointer): number {
    const { rows } = this.config;
    let row = this.#next;
    if (this.#size < rows) row = this.#size++;
    else this.#next = (row + 1) % rows;
    this.#runtime.f32[(this.#scales >>> 2) + row] = this.#kernels.writeKey(this.#keyOf(row), x, this.#width);
    new Int16Array(this.#runtime.buffer, this.#valueOf(row), this.#width).fill(0);
    return row;
  }

  get #keys(): Pointer {
    return this.#valueOf(this.#rows);
  }

  #keyOf(row: number): Pointer {
    return this.#keys + row * this.#width;
  }

  #valueOf(row: number): Pointer {
    return this.#scales + 4 * this.#rows + 2 * row * this.#width;
  }

  /** Room for at least so many rows. */
  #grow(wanted: number): void {
    let rows = this.#rows;
    while (rows < wanted) rows = grown(rows, this.config.rows);
    if (rows === this.#rows) return;
    const { buffer } = this.#runtime;
    const bytes = new Uint8Array(buffer);
    const scales = this.#arena.allocate((rows * rowBytes(this.#dimensions)) / 4);
    const before = { scales: this.#scales, values: this.#valueOf(0), keys: this.#keys };
    this.#scales = scales;
    this.#rows = rows;
    const size = this.#size;
    bytes.copyWithin(scales, before.scales, before.scales + 4 * size);
    bytes.copyWithin(this.#valueOf(0), before.values, before.values + 2 * size * this.#width);
    bytes.copyWithin(this.#keys, before.keys, before.keys + size * this.#width);
    this.#arena.free(before.scales);
  }
}
