/** Rows of equal width. */
export interface Matrix {
  /** Rows. */
  readonly rows: number;
  /** Numbers of a row. */
  readonly cols: number;
  /** The rows, one after the other. */
  readonly data: Float32Array;
}

/** One row, without a copy. */
export function row(matrix: Matrix, i: number): Float32Array {
  return matrix.data.subarray(i * matrix.cols, (i + 1) * matrix.cols);
}

/** Rows from to to - 1, without a copy. */
export function rowsOf(matrix: Matrix, from: number, to: number): Matrix {
  return { rows: to - from, cols: matrix.cols, data: matrix.data.subarray(from * matrix.cols, to * matrix.cols) };
}

/** Vectors of one width as the rows of a matrix, copied. */
export function matrixOf(vectors: readonly Float32Array[]): Matrix {
  const cols = vectors[0]!.length;
  const data = new Float32Array(vectors.length * cols);
  for (const [i, vector] of vectors.entries()) data.set(vector, i * cols);
  return { rows: vectors.length, cols, data };
}

/** The product of `b` with the numbers of `a` from `at` on. Four sums keep the processor's pipeline full. */
export function dotAt(a: Float32Array | Float64Array, at: number, b: Float32Array | Float64Array): number {
  const n = b.length;
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let k = 0;
  for (; k + 3 < n; k += 4) {
    s0 += a[at + k]! * b[k]!;
    s1 += a[at + k + 1]! * b[k + 1]!;
    s2 += a[at + k + 2]! * b[k + 2]!;
    s3 += a[at + k + 3]! * b[k + 3]!;
  }
  for (; k < n; k++) s0 += a[at + k]! * b[k]!;
  return s0 + s1 + s2 + s3;
}

export function dot(a: Float32Array | Float64Array, b: Float32Array | Float64Array): number {
  return dotAt(a, 0, b);
}

/**
 * The product of row i with a vector. It takes one type of array, apart from `dotAt`: the engine makes code several times as fast for a loop
 * that only ever sees one.
 */
export function dotRow({ data, cols }: Matrix, i: number, b: Float64Array): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let k = 0;
  const at = i * cols;
  for (; k + 3 < cols; k += 4) {
    s0 += data[at + k]! * b[k]!;
    s1 += data[at + k + 1]! * b[k + 1]!;
    s2 += data[at + k + 2]! * b[k + 2]!;
    s3 += data[at + k + 3]! * b[k + 3]!;
  }
  for (; k < cols; k++) s0 += data[at + k]! * b[k]!;
  return s0 + s1 + s2 + s3;
}

/** Scales a vector to length 1, in place; zeros stay zeros. */
export function toUnit(vector: Float32Array): Float32Array {
  const norm = Math.sqrt(dot(vector, vector)) || 1;
  for (let i = 0; i < vector.length; i++) vector[i]! /= norm;
  return vector;
}

/** The mean of some rows, at unit length. */
export function centroid(matrix: Matrix, rows: readonly number[]): Float32Array {
  const sum = new Float32Array(matrix.cols);
  for (const r of rows) {
    const vector = row(matrix, r);
    for (let i = 0; i < sum.length; i++) sum[i]! += vector[i]!;
  }
  return toUnit(sum);
}

/** The numbers from 0 to n - 1. */
export const range = (n: number): Int32Array => Int32Array.from({ length: n }, (_, i) => i);
