import { FormatError } from "../base/errors.js";

/** Which numbers of one adapter's tensor stay: one per element, zero or not. */
export type Mask = ArrayLike<number | boolean>;

/** Which elements DARE is asked to keep; A is [rank, in], B is [rank, out], a product is [out, in]. */
export interface MaskRequest {
  /** Name of the module. */
  readonly module: string;
  /** Which tensor it is. */
  readonly part: "A" | "B" | "product";
  /** Index of the adapter. */
  readonly adapter: number;
  /** Number of elements. */
  readonly length: number;
}

/** How tensors are thinned out before they are mixed. */
export type Sparsify = (values: Float64Array, density: number, mask: () => Mask) => Float64Array;

export const SPARSIFY = {
  none: (values) => values,
  magnitude: keepLargest,
  random: keepRandom,
} as const satisfies Readonly<Record<string, Sparsify>>;

/**
 * The floor(density * length) numbers of largest magnitude, and zeros (TIES, Yadav et al. 2023, section 3.1); of equal
 * ones the first.
 */
function keepLargest(values: Float64Array, density: number): Float64Array {
  const count = Math.trunc(density * values.length);
  if (count >= values.length) return values;
  if (count === 0) return new Float64Array(values.length);
  const magnitudes = values.map(Math.abs).sort();
  const threshold = magnitudes[values.length - count]!;
  const larger = values.length - upperBound(magnitudes, threshold);
  let equal = count - larger;
  return values.map((value) => {
    const magnitude = Math.abs(value);
    return magnitude > threshold || (magnitude === threshold && equal-- > 0) ? value : 0;
  });
}

/** Index after the last element of a sorted list that is not above `value`. */
function upperBound(sorted: Float64Array, value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The elements that the mask keeps, divided by the density to keep the expectation (DARE, Yu et al. 2023, eq. 2). */
function keepRandom(values: Float64Array, density: number, mask: () => Mask): Float64Array {
  if (density >= 1) return values;
  const kept = mask();
  if (kept.length !== values.length) {
    throw new FormatError("invalid-argument", "mask", `has ${kept.length} elements, not ${values.length}`, "Fit it");
  }
  return values.map((value, i) => (kept[i] ? value / density : 0));
}
