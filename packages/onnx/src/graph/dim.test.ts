import fc from "fast-check";
import { expect, test } from "vitest";
import * as dims from "./dim.js";
import type { Dim } from "./ir.js";

const { addDims: add, subtractDims: subtract, multiplyDims: multiply } = dims;

test.each<[Dim, Dim]>([
  [add("seq", "past"), "past + seq"],
  [subtract(add("past", "seq"), "past"), "seq"],
  [multiply(add("past", "seq"), multiply(2, "batch")), "2*batch*past + 2*batch*seq"],
  [subtract(1, "seq"), "-seq + 1"],
  [dims.divideExactly(multiply(multiply("batch", add("past", "seq")), 64), add("past", "seq"))!, "64*batch"],
  [dims.divideDims("seq", 2)!, "div(seq, 2)"],
  [dims.minDim("seq", 2 ** 63), "seq"],
  [dims.minDim("seq", 512), "min(512, seq)"],
  [dims.minDim("past", add("past", "seq")), "past"],
  [dims.maxDim(0, add("past", "seq")), "past + seq"],
  [dims.broadcastDim("seq", dims.minDim("seq", 512)), "seq"],
  [dims.broadcastDim("a", "b"), "broadcast(a, b)"],
  [dims.broadcastDim(1, "b"), "b"],
  [dims.symbol("sequence_length + past_sequence_length"), "past_sequence_length + sequence_length"],
  [dims.symbol("past_sequence_length + 1"), "[past_sequence_length + 1]"],
  [add(dims.symbol("a - b"), 1), "[a - b] + 1"],
])("%s is %s", (actual, expected) => {
  expect(actual).toBe(expected);
});

test("what divides nothing is told", () => {
  expect(dims.divideExactly("seq", "batch")).toBeUndefined();
  expect(dims.divideExactly(add("seq", 1), 2)).toBeUndefined();
  expect(dims.divideDims("seq", 0)).toBeUndefined();
});

/** A random expression beside what it is for given symbols. */
type Example = { dim: Dim; value: (sizes: Record<string, number>) => number };
const leaf = fc.oneof(
  fc.integer({ min: -4, max: 4 }).map((size): Example => ({ dim: size, value: () => size })),
  fc.constantFrom("a", "b", "[c + d]").map((name): Example => ({ dim: name, value: (sizes) => sizes[name]! })),
);
const OPERATIONS: [(a: Dim, b: Dim) => Dim | undefined, (a: number, b: number) => number][] = [
  [add, (a, b) => a + b],
  [subtract, (a, b) => a - b],
  [multiply, (a, b) => a * b],
];
const { tree } = fc.letrec<{ tree: Example }>((tie) => ({
  tree: fc.oneof(
    { depthSize: "small" },
    leaf,
    fc.tuple(fc.constantFrom(...OPERATIONS), tie("tree"), tie("tree")).map(
      ([[on, of], a, b]): Example => ({
        dim: on(a.dim, b.dim)!,
        value: (sizes) => of(a.value(sizes), b.value(sizes)),
      }),
    ),
  ),
}));
const sizes = fc.record({ a: fc.nat(9), b: fc.nat(9), "[c + d]": fc.nat(9) });

function evaluate(dim: Dim, of: Record<string, number>): number {
  return dims
    .termsOf(dim)
    .reduce((sum, { coefficient, atoms }) => sum + atoms.reduce((x, atom) => x * of[atom]!, coefficient), 0);
}

test("expressions mean what they were made from, and equal ones are spelled equally", () => {
  fc.assert(
    fc.property(tree, tree, sizes, (x, y, of) => {
      expect(evaluate(x.dim, of)).toBe(x.value(of) + 0);
      expect(add(x.dim, y.dim)).toBe(add(y.dim, x.dim));
      expect(subtract(add(x.dim, y.dim), y.dim)).toBe(x.dim);
      if (y.dim !== 0) expect(dims.divideExactly(multiply(x.dim, y.dim), y.dim)).toBe(x.dim);
    }),
  );
});

test("comparisons hold for every size", () => {
  fc.assert(
    fc.property(tree, tree, sizes, (x, y, of) => {
      const seen = dims.compareDims(x.dim, y.dim);
      if (seen !== undefined) expect(Math.sign(x.value(of) - y.value(of)) + 0).toBe(seen + 0);
      if (dims.isNonNegative(x.dim)) expect(x.value(of)).toBeGreaterThanOrEqual(0);
    }),
  );
});
