import { expect, test } from "vitest";
import { kMeans } from "./k-means.js";
import { createRandom } from "./random.js";

test("finds clusters that lie far apart", () => {
  const random = createRandom(1);
  const truth = [...Array(90).keys()].map((i) => i % 3);
  const vectors = truth.map((cluster) => Float32Array.of(10 * cluster + random.next(), -10 * cluster + random.next()));
  const { centres, assignment } = kMeans(vectors, 3, random);
  expect(centres).toHaveLength(3);
  for (const cluster of [0, 1, 2]) expect(new Set(assignment.filter((_, i) => truth[i] === cluster)).size).toBe(1);
  expect(new Set(assignment).size).toBe(3);
});

test("each vector belongs to the nearest mean of its own cluster's vectors", () => {
  const random = createRandom(2);
  const vectors = Array.from({ length: 60 }, () => Float32Array.of(random.next(), random.next(), random.next()));
  const { centres, assignment } = kMeans(vectors, 4, random, 1000);
  const distance = (a: Float32Array, b: Float32Array) => Math.hypot(...a.map((value, i) => value - b[i]!));
  for (const [i, vector] of vectors.entries()) {
    const distances = centres.map((centre) => distance(vector, centre));
    expect(distances[assignment[i]!]).toBeCloseTo(Math.min(...distances), 6);
  }
});
