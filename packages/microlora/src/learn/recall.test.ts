import { expect, test } from "vitest";
import { floats } from "../base/samples.test-support.js";
import { gradient64, loss64, Recall64, unit64 } from "./reference.test-support.js";

const N = 7;
const TEMPERATURE = 0.3;
const SETTINGS = { sharpness: 5, strength: 0.4, nullSimilarity: 0.1, learningRate: 1e-3, mergeSimilarity: null };
const DOCUMENTS = Array.from({ length: 6 }, (_, j) => floats(N, j + 50));

/** The reference that recall is compared with on every implementation of the kernels, itself against differences. */
test("what a click teaches the kept values is dLoss/dvalue by central differences", () => {
  const recall = new Recall64(8, SETTINGS);
  for (let k = 0; k < 5; k++) {
    const x = unit64(floats(N, k));
    recall.learn(x, gradient64(recall.transform(x), DOCUMENTS, k, TEMPERATURE));
  }
  // Shorter than they may be, so that no step is cut.
  for (const { value } of recall.clicks) for (const i of value.keys()) value[i]! *= 0.5;
  const x = unit64(floats(N, 9));
  const loss = () => loss64(recall.transform(x), DOCUMENTS, 2, TEMPERATURE);
  const h = 1e-6;
  const expected = recall.clicks.map(({ value }) =>
    value.map((v, i) => {
      value[i] = v + h;
      const above = loss();
      value[i] = v - h;
      const below = loss();
      value[i] = v;
      return (above - below) / (2 * h);
    }),
  );
  const before = recall.clicks.map(({ value }) => value.slice());
  recall.learn(x, gradient64(recall.transform(x), DOCUMENTS, 2, TEMPERATURE));
  for (const [j, gradient] of expected.entries()) {
    for (const [i, g] of gradient.entries()) {
      const step = (before[j]![i]! - recall.clicks[j]!.value[i]!) / SETTINGS.learningRate;
      expect(step).toBeCloseTo(g, 5);
    }
  }
});

test("far from every key, the null key leaves the query as it is", () => {
  const recall = new Recall64(8, { ...SETTINGS, sharpness: 60, nullSimilarity: 0.5 });
  const x = unit64([1, 0, 0, 0, 0, 0, 0]);
  const away = unit64([0, 1, 0, 0, 0, 0, 0]);
  recall.learn(x, gradient64(x, DOCUMENTS, 1, TEMPERATURE));
  const moved = (query: Float64Array) =>
    Math.hypot(...recall.transform(query).map((value, i) => value - query[i]!)) / SETTINGS.strength;
  expect(moved(x)).toBeCloseTo(1, 6);
  expect(moved(away)).toBeLessThan(1e-12);
});
