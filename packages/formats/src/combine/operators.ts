import { Matrix } from "ml-matrix";
import { type LoraTarget, scalingOf } from "../picture/lora-file.js";
import { deltaNorm } from "../picture/norm.js";
import type { Operator } from "./svd.js";

/** The change of a target, [out, in], as an operator: the matrix is never materialised. */
export function productOperator(target: LoraTarget): Operator {
  const { rank, inFeatures, outFeatures, loraA, loraB } = target;
  const a = Matrix.from1DArray(rank, inFeatures, Array.from(loraA));
  const b = Matrix.from1DArray(rank, outFeatures, Array.from(loraB)).mul(scalingOf(target));
  return {
    rows: outFeatures,
    cols: inFeatures,
    rankBound: rank,
    times: (x) => b.transpose().mmul(a.mmul(x)),
    transposedTimes: (x) => a.transpose().mmul(b.mmul(x)),
    squares: deltaNorm(target) ** 2,
  };
}

/** A matrix [rows, cols] as it is. */
export function denseOperator(values: Float64Array, rows: number, cols: number): Operator {
  return {
    rows,
    cols,
    rankBound: Math.min(rows, cols),
    times: (x) => multiply(values, cols, x, rows, false),
    transposedTimes: (x) => multiply(values, cols, x, cols, true),
    squares: values.reduce((sum, value) => sum + value * value, 0),
  };
}

/** values [.., cols], or its transpose, times X, in flat arrays; pruned matrices are mostly zeros, which are passed over. */
function multiply(values: Float64Array, cols: number, x: Matrix, outRows: number, transposed: boolean): Matrix {
  const width = x.columns;
  const flat = Float64Array.from(x.to1DArray());
  const out = new Float64Array(outRows * width);
  for (let row = 0, i = 0; i < values.length; row++) {
    for (let col = 0; col < cols; col++, i++) {
      const value = values[i]!;
      if (value === 0) continue;
      const to = (transposed ? col : row) * width;
      const from = (transposed ? row : col) * width;
      for (let k = 0; k < width; k++) out[to + k]! += value * flat[from + k]!;
    }
  }
  return Matrix.from1DArray(outRows, width, out);
}

/** scaling * (A B) as [out, in], in float64. */
export function denseProduct(target: LoraTarget): Float64Array {
  const { rank, inFeatures, outFeatures, loraA, loraB } = target;
  const scaling = scalingOf(target);
  const out = new Float64Array(outFeatures * inFeatures);
  for (let o = 0; o < outFeatures; o++) {
    for (let r = 0; r < rank; r++) {
      const factor = scaling * loraB[r * outFeatures + o]!;
      for (let i = 0; i < inFeatures; i++) out[o * inFeatures + i]! += factor * loraA[r * inFeatures + i]!;
    }
  }
  return out;
}
