import { EigenvalueDecomposition, Matrix, QrDecomposition, SingularValueDecomposition } from "ml-matrix";

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

/** Up to this rank of the matrix, all of its range is carried along, and the first round is exact. */
const EXACT_RANK = 128;
/** Columns beyond the rank that the iteration carries along, and the most rounds of it. */
const OVERSAMPLING = 10;
const MAX_ROUNDS = 200;
const TOLERANCE = 1e-12;

/**
 * The best approximation of a matrix by one of lower rank (Eckart and Young 1936), by subspace iteration until the
 * singular values stand still (Halko, Martinsson and Tropp 2011, algorithm 4.4).
 */
export function approximate(matrix: Operator, rank: number): Approximation {
  const { rows, cols, rankBound } = matrix;
  const width = Math.min(rows, cols, rankBound <= EXACT_RANK ? rankBound : rank + OVERSAMPLING);
  let right = orthonormal(startingColumns(cols, width));
  let left = orthonormal(matrix.times(right));
  let image = matrix.transposedTimes(left);
  let before = 0;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const captured = leadingSquares(image, rank);
    if (Math.abs(captured - before) <= TOLERANCE * captured) break;
    before = captured;
    right = orthonormal(image);
    left = orthonormal(matrix.times(right));
    image = matrix.transposedTimes(left);
  }
  const { leftSingularVectors, rightSingularVectors, diagonal } = new SingularValueDecomposition(image, {
    autoTranspose: true,
  });
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

/** Sum of the largest squared singular values; it grows towards that of the whole matrix, and never falls. */
function leadingSquares(image: Matrix, rank: number): number {
  const gram = image.transpose().mmul(image);
  const values = new EigenvalueDecomposition(gram, { assumeSymmetric: true }).realEigenvalues;
  return values
    .sort((a, b) => b - a)
    .slice(0, rank)
    .reduce((sum, value) => sum + value, 0);
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
