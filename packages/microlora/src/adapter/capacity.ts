import { deltaNorm } from "./delta-limit.js";
import type { LoraAdapter } from "./lora-adapter.js";

/** How much of an adapter is in use. */
export interface Capacity {
  /** Rank of A and B. */
  readonly rank: number;
  /** Singular values of scaling * A B, the largest first. */
  readonly singularValues: readonly number[];
  /** exp of their entropy, from 1 to the rank: how many directions the delta really has (Roy & Vetterli 2007, eq. 3); 0 if it is 0. */
  readonly effectiveRank: number;
  /** Norm of the delta: of scaling * A B (Frobenius) and the bias together. */
  readonly norm: number;
}

/** Capacity of an adapter as it is. */
export function capacityOf(adapter: LoraAdapter): Capacity {
  const { rank, scaling } = adapter;
  const { values, vectors } = eigen(gram(adapter, "loraA"), rank);
  const b = gram(adapter, "loraB");
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
  return { rank, singularValues, effectiveRank: sum > 0 ? Math.exp(entropy) : 0, norm: deltaNorm(adapter).norm };
}

/** F F^T [rank, rank] of one factor, summed in float64. */
function gram(adapter: LoraAdapter, factor: "loraA" | "loraB"): Float64Array {
  const { rank, runtime, pointers, inFeatures, outFeatures } = adapter;
  const width = factor === "loraA" ? inFeatures : outFeatures;
  const rows = runtime.view(pointers[factor], rank * width);
  const products = new Float64Array(rank * rank);
  for (let r = 0; r < rank; r++) {
    for (let k = 0; k <= r; k++) {
      let sum = 0;
      for (let i = 0; i < width; i++) sum += rows[r * width + i]! * rows[k * width + i]!;
      products[r * rank + k] = sum;
      products[k * rank + r] = sum;
    }
  }
  return products;
}

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
