import { expect, test } from "vitest";
import { forgettingOf, meanMatrix } from "./sessions.js";

// Rows: before, after session 1, 2, 3; columns: preferences.
const matrix = [
  [0.1, 0.1, 0.1],
  [0.5, 0.2, 0.1],
  [0.6, 0.4, 0.2],
  [0.3, 0.4, 0.7],
];

test("learned, final and forgotten, worked by hand", () => {
  const { learned, final, forgetting } = forgettingOf(matrix);
  expect(learned).toBeCloseTo((0.5 + 0.4 + 0.7) / 3, 12);
  expect(final).toBeCloseTo((0.3 + 0.4 + 0.7) / 3, 12);
  expect(forgetting).toBeCloseTo((0.6 - 0.3 + (0.4 - 0.4)) / 2, 12);
});

test("what got better is not forgotten", () => {
  const better = [
    [0, 0],
    [0.2, 0],
    [0.3, 0.1],
  ];
  expect(forgettingOf(better).forgetting).toBe(0);
});

test("the mean of matrices is that of their cells", () => {
  const doubled = matrix.map((row) => row.map((value) => 3 * value));
  for (const [session, row] of meanMatrix([matrix, doubled]).entries()) {
    for (const [task, value] of row.entries()) expect(value).toBeCloseTo(2 * matrix[session]![task]!, 12);
  }
});
