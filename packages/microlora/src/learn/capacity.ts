import type { LoraAdapter } from "../adapter/lora-adapter.js";
import type { Pointer } from "../kernels/contract.js";

/** How much of an adapter is in use. */
export interface Capacity {
  readonly rank: number;
  /** Singular values of scaling * A B, the largest first. */
  readonly singularValues: readonly number[];
  /** exp of their entropy, from 1 to the rank: how many directions the delta really has (Roy & Vetterli 2007, eq. 3); 0 if it is 0. */
  readonly effectiveRank: number;
  /** Norm of the delta: of scaling * A B (Frobenius) and the bias together. */
  readonly norm: number;
}

/** Norm of the delta, sqrt(|scaling * A B|^2 + |bias|^2), from rank x rank numbers: |A B|^2 = sum_kr (A A^T)_kr (B B^T)_kr. */
export function deltaNorm(adapter: LoraAdapter): number {
  return new DeltaLimit(adapter).norm();
}

/** A hard limit on the norm of an adapter's delta; its views are made once, so that a check allocates nothing. */
export class DeltaLimit {
  readonly #adapter: LoraAdapter;
  readonly #a: Pointer;
  readonly #b: Pointer;
  readonly #bias: Pointer;

  constructor(adapter: LoraAdapter) {
    this.#adapter = adapter;
    this.#a = adapter.loraA.byteOffset;
    this.#b = adapter.loraB.byteOffset;
    this.#bias = adapter.bias?.byteOffset ?? 0;
  }

  norm(): number {
    const { rank, inFeatures, outFeatures, runtime, scaling } = this.#adapter;
    const { kernels, f32, scratch } = runtime;
    const a = scratch.rows.reserve(2 * rank);
    const b = a + 4 * rank;
    let product = 0;
    for (let r = 0; r < rank; r++) {
      kernels.project(this.#a, this.#a + 4 * r * inFeatures, a, rank, inFeatures);
      kernels.project(this.#b, this.#b + 4 * r * outFeatures, b, rank, outFeatures);
      for (let k = 0; k < rank; k++) product += f32[(a >>> 2) + k]! * f32[(b >>> 2) + k]!;
    }
    const squares = this.#bias === 0 ? 0 : kernels.sumSquares(this.#bias, outFeatures);
    return Math.sqrt(Math.max(0, scaling ** 2 * product) + squares);
  }

  /** An upper bound of the norm for a quarter of its cost: |A B| <= |A| |B|. */
  #bound(): number {
    const { rank, inFeatures, outFeatures, runtime, scaling } = this.#adapter;
    const { kernels } = runtime;
    const factors = kernels.sumSquares(this.#a, rank * inFeatures) * kernels.sumSquares(this.#b, rank * outFeatures);
    return Math.sqrt(scaling ** 2 * factors + (this.#bias === 0 ? 0 : kernels.sumSquares(this.#bias, outFeatures)));
  }

  /** Shrinks B and the bias until the norm is at most `limit`; whether anything had to be shrunk. */
  enforce(limit: number): boolean {
    if (this.#bound() <= limit * (1 - ROUNDING)) return false;
    const norm = this.norm();
    if (norm <= limit) return false;
    const { rank, outFeatures, runtime } = this.#adapter;
    const excess = Number.isFinite(norm) ? 1 - (limit / norm) * (1 - 1e-5) : 1;
    runtime.kernels.apply(this.#b, this.#b, rank * outFeatures, excess);
    if (this.#bias !== 0) runtime.kernels.apply(this.#bias, this.#bias, outFeatures, excess);
    return true;
  }
}

export function capacityOf(adapter: LoraAdapter): Capacity {
  const { rank, scaling } = adapter;
  const { values, vectors } = eigen(gram(adapter, "A"), rank);
  const b = gram(adapter, "B");
  // The eigenvalues of (A A^T)(B B^T) are those of the symmetric L^T (B B^T) L with A A^T = L L^T.
  const root = vectors.map((v, i) => v * Math.sqrt(Math.max(0, values[i % rank]!)));
  const middle = new Float64Array(rank * rank);
  for (let i = 0; i < rank; i++) {
    for (let j = 0; j < rank; j++) {
      for (let k = 0; k < rank; k++) {
        for (let l = 0; l < rank; l++) {
          middle[i * rank + j]! += root[k * rank + i]! * b[k * rank + l]! * root[l * rank + j]!;
        }
      }
    }
  }
  const squares = eigen(middle, rank).values;
  const singularValues = [...squares]
    .map((value) => Math.abs(scaling) * Math.sqrt(Math.max(0, value)))
    .sort((p, q) => q - p);
  const sum = singularValues.reduce((total, value) => total + value, 0);
  const entropy = singularValues.reduce((total, value) => {
    const share = value / sum;
    return share > 0 ? total - share * Math.log(share) : total;
  }, 0);
  return { rank, singularValues, effectiveRank: sum > 0 ? Math.exp(entropy) : 0, norm: deltaNorm(adapter) };
}

/** F F^T [rank, rank] of one factor. */
function gram(adapter: LoraAdapter, factor: "A" | "B"): Float64Array {
  const { rank, runtime } = adapter;
  const rows = factor === "A" ? adapter.loraA : adapter.loraB;
  const width = rows.length / rank;
  const column = runtime.scratch.rows.reserve(rank);
  const products = new Float64Array(rank * rank);
  for (let r = 0; r < rank; r++) {
    runtime.kernels.project(rows.byteOffset, rows.byteOffset + 4 * r * width, column, rank, width);
    for (let k = 0; k < rank; k++) products[r * rank + k] = runtime.f32[(column >>> 2) + k]!;
  }
  return products;
}

/** Far above what float32 sums of squares are wrong by. */
const ROUNDING = 1e-3;

const SWEEPS = 30;

/** Eigenvalues and eigenvectors [n, n], a column each, of a symmetric matrix, by Jacobi's rotations (Golub & Van Loan, 8.5). */
function eigen(matrix: Float64Array, n: number): { values: Float64Array; vectors: Float64Array } {
  const m = matrix.slice();
  const vectors = Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(m, vectors, n, p, q);
  }
  return { values: Float64Array.from({ length: n }, (_, i) => m[i * n + i]!), vectors };
}

function rotate(m: Float64Array, vectors: Float64Array, n: number, p: number, q: number): void {
  const off = m[p * n + q]!;
  if (off === 0) return;
  const theta = (m[q * n + q]! - m[p * n + p]!) / (2 * off);
  const t = Number.isFinite(theta) ? (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.hypot(theta, 1)) : 0;
  const c = 1 / Math.hypot(t, 1);
  const s = t * c;
  const turn = (data: Float64Array, i: number, j: number): void => {
    const [x, y] = [data[i]!, data[j]!];
    data[i] = c * x - s * y;
    data[j] = s * x + c * y;
  };
  for (let k = 0; k < n; k++) turn(m, k * n + p, k * n + q);
  for (let k = 0; k < n; k++) turn(m, p * n + k, q * n + k);
  for (let k = 0; k < n; k++) turn(vectors, k * n + p, k * n + q);
}
