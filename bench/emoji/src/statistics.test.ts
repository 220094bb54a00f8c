import { expect, test } from "vitest";
import { createRandom } from "./random.js";
import { interval95, mean, quantile } from "./statistics.js";

test("mean and interval of a textbook sample", () => {
  expect(mean([1, 2, 3, 4])).toBe(2.5);
  // Standard deviation 1.29099, t(3) = 3.182: 3.182 * 1.29099 / 2.
  expect(interval95([1, 2, 3, 4])).toBeCloseTo(2.054, 3);
  expect(interval95([1])).toBeNaN();
});

test("95 % intervals hold the true mean about 95 % of the time", () => {
  const random = createRandom(7);
  let held = 0;
  const trials = 2000;
  for (let trial = 0; trial < trials; trial++) {
    const sample = Array.from({ length: 20 }, () => random.next() + random.next() + random.next());
    if (Math.abs(mean(sample) - 1.5) <= interval95(sample)) held++;
  }
  expect(held / trials).toBeGreaterThan(0.935);
  expect(held / trials).toBeLessThan(0.965);
});

test("quantiles", () => {
  expect(quantile([4, 1, 3, 2], 0)).toBe(1);
  expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
  expect(quantile([4, 1, 3, 2], 1)).toBe(4);
});

test("a shuffle holds the same items, and the same seed gives the same one", () => {
  const items = [...Array(50).keys()];
  const shuffled = createRandom(3).shuffle(items);
  expect(shuffled).not.toEqual(items);
  expect([...shuffled].sort((a, b) => a - b)).toEqual(items);
  expect(createRandom(3).shuffle(items)).toEqual(shuffled);
});
