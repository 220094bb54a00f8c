/**
 * What every implementation of the kernels does. Implementations: `scalar.ts` (the oracle and the fallback) and the two
 * WebAssembly builds of `assembly/` (`simd`, `relaxed`).
 *
 * All arrays are float32 in the one memory of a runtime; a `Pointer` is the byte address of their first element, a
 * multiple of 4. Kernels allocate nothing and check nothing but what they say: shapes are the caller's duty.
 *
 * The parameters of one adapter lie in one block: `A` [rank, in], `B` [rank, out], then `bias` [out] if it has one. Its
 * gradients, Fisher information and anchor are blocks of the same layout, so that updates run over flat vectors.
 */

/** Byte address in the runtime's memory; a multiple of 4. Zero is the null pointer. */
export type Pointer = number;

/** The implementations of the kernels, the fastest first. */
export const KERNELS_NAMES = ["relaxed", "simd", "scalar"] as const;
/** Name of an implementation of the kernels. */
export type KernelsName = (typeof KERNELS_NAMES)[number];

/** Shape of one adapter, as the kernels see it. */
export interface AdapterShape {
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** 1 if a bias [out] follows B, else 0. */
  readonly bias: 0 | 1;
}

/** Kernels specialised for one shape; looked up once per adapter, so that a call does no dispatch. */
export interface AdapterKernels {
  /**
   * y = scaling * (x A) B + bias, keeping u = x A.
   * @param w parameter block; @param x [in]; @param u [rank], written; @param y [out], overwritten
   * @returns 1, or 0 if some u is not finite, in which case y is untouched
   */
  forward(w: Pointer, x: Pointer, u: Pointer, y: Pointer, scaling: number): number;

  /** As `forward`, but adds to y. */
  forwardAdd(w: Pointer, x: Pointer, u: Pointer, y: Pointer, scaling: number): number;

  /**
   * `forward` for `rows` inputs with one adapter.
   * @param x [rows, in]; @param u [rows, rank], written; @param y [rows, out], overwritten
   * @returns -1, or the first row whose u is not finite, in which case y is untouched
   */
  forwardBatch(w: Pointer, x: Pointer, u: Pointer, y: Pointer, rows: number, scaling: number): number;

  /**
   * `forwardAdd` for `rows` inputs, each with the adapter that `table` names for it.
   * @param table [rows] pairs { uint32 w, float32 scaling }; w = 0 leaves the row as it is
   * @param x [rows, in]; @param u [rows, rank], written; @param y [rows, out], added to
   * @returns -1, or the first row whose u is not finite, in which case y is untouched
   */
  forwardEach(table: Pointer, x: Pointer, u: Pointer, y: Pointer, rows: number): number;

  /**
   * What a learning step has to know before it may write: u = x A (unless `hasU`), v = g B, and their norms.
   * @param g dLoss/dOutput [out]; @param u [rank], written unless hasU; @param v [rank], written
   * @param norms [2], written: sum x^2, sum g^2
   */
  measure(w: Pointer, x: Pointer, g: Pointer, u: Pointer, v: Pointer, norms: Pointer, hasU: number): void;

  /**
   * One request's step, its gradient never materialised. With gA = scaling * v (x) x, gB = scaling * u (x) g, gBias = g:
   *   running <- decay * running + (1 - decay) * g^2   (skipped if running = 0)
   *   w       <- w - rate * g - min(penalty * fisher, 1) * (w - anchor)   (the pull is skipped if fisher = 0)
   * @param rate learning rate * reward; @param penalty learning rate * lambda
   */
  step(
    w: Pointer,
    x: Pointer,
    g: Pointer,
    u: Pointer,
    v: Pointer,
    scaling: number,
    rate: number,
    running: Pointer,
    decay: number,
    fisher: Pointer,
    anchor: Pointer,
    penalty: number,
  ): void;

  /**
   * pending <- pending + reward * gradient, and `running` as in `step` (skipped if running = 0; without the reward).
   */
  accumulate(
    pending: Pointer,
    x: Pointer,
    g: Pointer,
    u: Pointer,
    v: Pointer,
    scaling: number,
    reward: number,
    running: Pointer,
    decay: number,
  ): void;
}

/** Kernels over plain vectors and matrices. */
export interface VectorKernels {
  /** u[j] = sum_i x[i] * a[j, i] for j < rows. @param a [rows, n]; @param u [rows], written */
  project(a: Pointer, x: Pointer, u: Pointer, rows: number, n: number): void;
  /** y[i] += sum_j c[j] * b[j, i]. @param b [rows, n]; @param c [rows]; @param y [n] */
  expandAdd(c: Pointer, b: Pointer, y: Pointer, rows: number, n: number): void;
  /**
   * y[i, :] += scaling * sum_r coef[r * coefStride + i] * basis[r, :] for i < rows: a block of rows of a merge.
   * @param y [rows, cols]; @param coef strided in floats; @param basis [rank, cols]
   */
  merge(
    y: Pointer,
    rows: number,
    cols: number,
    coef: Pointer,
    coefStride: number,
    basis: Pointer,
    rank: number,
    scaling: number,
  ): void;
  /** w <- w - rate * g, n elements. */
  apply(w: Pointer, g: Pointer, n: number, rate: number): void;
  /** w <- w - rate * g - min(penalty * fisher, 1) * (w - anchor), n elements: a pull never overshoots the anchor. */
  applyEwc(w: Pointer, g: Pointer, fisher: Pointer, anchor: Pointer, n: number, rate: number, penalty: number): void;
  /** fisher <- decay * fisher + (1 - decay) * g^2, n elements. */
  updateFisher(fisher: Pointer, g: Pointer, n: number, decay: number): void;
  /** sum x^2, n elements. */
  sumSquares(x: Pointer, n: number): number;
  /** max |x|, n elements; NaN or Infinity if any element is not finite. */
  maxAbs(x: Pointer, n: number): number;
  /** A 32-bit hash of the bits of x that depends on every element and its place; equal bits, equal hash. */
  fingerprint(x: Pointer, n: number): number;
}

/** The whole contract: the vectors' kernels, and the adapters' for any shape. */
export interface Kernels extends VectorKernels {
  readonly name: KernelsName;
  /** The kernels of one adapter shape; where `loadKernels` made them, the same object for the same shape. */
  forShape(shape: AdapterShape): AdapterKernels;
}

/** Makes the kernels over one memory, whose buffer never changes. */
export type KernelsFactory = (memory: WebAssembly.Memory) => Promise<Kernels>;
