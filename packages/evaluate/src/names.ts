import { type Matrix, matrixOf, range, row, toUnit } from "./matrix.js";
import type { Named } from "./person.js";
import { createGauss, createRandom } from "./random.js";

/** Names of items that have no text: their vectors with noise of length 0.5; half names: of length 1. */
export function noisyNames(items: Matrix): Named {
  const noisy = (length: number, seed: number) => {
    const gauss = createGauss(createRandom(seed));
    const scale = length / Math.sqrt(items.cols);
    return matrixOf(Array.from(range(items.rows), (i) => toUnit(row(items, i).map((v) => v + scale * gauss()))));
  };
  return { names: noisy(0.5, 1), halves: noisy(1, 2) };
}
