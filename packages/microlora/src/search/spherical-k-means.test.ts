import { expect, test } from "vitest";
import { EmbeddingIndex } from "./embedding-index.js";

/** Points around three axes of a space of eight dimensions. */
function clusters(): (readonly [number, Float32Array])[] {
  return Array.from({ length: 60 }, (_, row) => {
    const vector = Float32Array.from({ length: 8 }, (_, i) => 0.15 * Math.sin(row * 7 + i * 3));
    vector[row % 3]! += 1;
    return [row, vector] as const;
  });
}

test("finds the directions that documents cluster in", async () => {
  using index = await EmbeddingIndex.create(clusters());
  const directions = index.directions(3);
  const axes = directions.map((direction) => direction.indexOf(Math.max(...direction)));
  expect(axes.sort()).toEqual([0, 1, 2]);
  for (const direction of directions) {
    expect(Math.hypot(...direction)).toBeCloseTo(1, 6);
    // A centre is where the mean of its own cluster points, computed apart.
    const axis = direction.indexOf(Math.max(...direction));
    const mean = new Float64Array(8);
    for (const [row, vector] of clusters()) {
      if (row % 3 === axis) for (const [i, value] of vector.entries()) mean[i]! += value / Math.hypot(...vector);
    }
    for (const [i, value] of direction.entries()) expect(value).toBeCloseTo(mean[i]! / Math.hypot(...mean), 5);
  }
});

test("the same seed gives the same directions, and there are never more than distinct documents", async () => {
  using index = await EmbeddingIndex.create(clusters());
  expect(index.directions(5, 9)).toEqual(index.directions(5, 9));
  const twin = Float32Array.of(1, 2, 3);
  using twins = await EmbeddingIndex.create([
    ["a", twin],
    ["b", twin],
  ]);
  expect(twins.directions(2)).toHaveLength(1);
});
