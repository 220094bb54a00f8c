import { Matrix, QrDecomposition, SingularValueDecomposition } from "ml-matrix";

/** A matrix by what it does to others. */
export interface Operator {
  readonly rows: number;
  readonly cols: number;
  /** No rank of the matrix is above this. */
  readonly rankBound: number;
  /** This times X. @param x [cols, n] */
  times(x: Matrix): Matrix;
  /** This, transposed, times X. @param x [rows, n] */
  transposedTimes(x: Matrix): Matrix;
  /** Sum of the squares of its elements. */
  readonly squares: number;
}

/** The best approximation of a rank, in two factors, and how far it is off. */
export interface Approximation {
  /** U S [rows, rank] */
  readonly left: Matrix;
  /** V [cols, rank] */
  readonly right: Matrix;
  /** |M - U S V^T| / |M|, Frobenius; 0 for a matrix of zeros. */
  readonly error: number;
}

/** Columns beyond the rank that the iteration carries along, and the most rounds of it. */
const OVERSAMPLING = 10;
const MAX_ROUNDS = 200;
const TOLERANCE = 1e-12;

/**
 * The best approximation of a matrix by one of lower rank (Eckart and Young 1936), by subspace iteration until the
 * singular values stand still (Halko, Martinsson and Tropp 2011, algorithm 4.4). Where the matrix itself is of low rank,
 * the first round is exact.
 */
export function approximate(matrix: Operator, rank: number): Approximation {
  const { rows, cols, rankBound } = matrix;
  const width = Math.min(rows, cols, Math.max(1, Math.min(rankBound, rank + OVERSAMPLING)));
  let right = orthonormal(startingColumns(cols, width));
  let left = orthonormal(matrix.times(right));
  let before = Number.POSITIVE_INFINITY;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const image = matrix.transposedTimes(left);
    // Grows towards the sum of the leading squared singular values, and never falls.
    const captured = image.pow(2).sum();
    right = orthonormal(matrix.transposedTimes(left));
    left = orthonormal(matrix.times(right));
    if (Math.abs(captured - before) <= TOLERANCE * captured) break;
    before = captured;
  }
  const { leftSingularVectors, rightSingularVectors, diagonal } = new SingularValueDecomposition(
    matrix.transposedTimes(left),
    { autoTranspose: true },
  );
  const kept = Math.min(rank, width);
  const us = left.mmul(rightSingularVectors.subMatrix(0, width - 1, 0, kept - 1));
  us.mulRowVector(diagonal.slice(0, kept));
  const squares = diagonal.slice(0, kept).reduce((sum, value) => sum + value * value, 0);
  const lost = Math.max(0, matrix.squares - squares);
  return {
    left: padded(us, rank),
    right: padded(leftSingularVectors.subMatrix(0, cols - 1, 0, kept - 1), rank),
    error: matrix.squares === 0 ? 0 : Math.sqrt(lost / matrix.squares),
  };
}

function orthonormal(matrix: Matrix): Matrix {
  return new QrDecomposition(matrix).orthogonalMatrix;
}

/** Columns that no real matrix is likely to be orthogonal to; the same ones each time. */
function startingColumns(rows: number, columns: number): Matrix {
  const out = new Matrix(rows, columns);
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < columns; k++) out.set(i, k, Math.sin(1 + i * (k + 1) * 1.618 + 2.3 * k * k));
  }
  return out;
}

/** With columns of zeros up to `columns`. */
function padded(matrix: Matrix, columns: number): Matrix {
  if (matrix.columns === columns) return matrix;
  const out = Matrix.zeros(matrix.rows, columns);
  return out.setSubMatrix(matrix, 0, 0);
}
