import { createRandom } from "./random.js";

/** A mean with its 95 % interval. */
export interface Interval {
  /** The mean over people. */
  readonly mean: number;
  /** The lower end of the 95 % interval. */
  readonly low: number;
  /** The upper end of the 95 % interval. */
  readonly high: number;
}

const RESAMPLES = 1000;

/** The mean of the values that are numbers; NaN where there are none. */
export function mean(values: readonly number[]): number {
  let sum = 0;
  let count = 0;
  for (const value of values) {
    if (Number.isNaN(value)) continue;
    sum += value;
    count++;
  }
  return count === 0 ? Number.NaN : sum / count;
}

/** The mean over people, and its 95 % interval by the percentile bootstrap over people (Efron 1979); NaN is left out. */
export function interval(values: readonly number[]): Interval {
  const finite = values.filter((value) => !Number.isNaN(value));
  const n = finite.length;
  if (n === 0) return { mean: Number.NaN, low: Number.NaN, high: Number.NaN };
  const random = createRandom(1);
  const means = Float64Array.from({ length: RESAMPLES }, () => {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += finite[Math.floor(random() * n)]!;
    return sum / n;
  }).sort();
  return { mean: mean(finite), low: means[0.025 * RESAMPLES]!, high: means[0.975 * RESAMPLES - 1]! };
}

/** The change of the mean in percent, over the people of whom both values are known. */
export function percentChange(after: readonly number[], before: readonly number[]): number {
  const isKnown = (_: number, i: number) => !Number.isNaN(after[i]!) && !Number.isNaN(before[i]!);
  const base = mean(before.filter(isKnown));
  return (100 * (mean(after.filter(isKnown)) - base)) / base;
}
