import { expect, test } from "vitest";
import type { Graph } from "../graph/ir.js";
import { isRowwise } from "../run/feeds.js";
import { cutsThatFit } from "./cuts.js";

const MB = 2 ** 20;
const batch = { rows: 10, group: 1, isRowwise: true, memoryLimit: 100 * MB };
/** Each row takes so much at the peak, and a node makes so much for it. */
const usageOf = (peak: number, mean: number) => (rows: number) => ({ peak: peak * rows * MB, mean: mean * rows * MB });

test("a batch runs whole where it fits", () => {
  expect(cutsThatFit({ ...batch, usageOf: usageOf(10, 0.1) })).toEqual([[0, 10]]);
});

test("it is cut into what fits into the memory", () => {
  const parts = [
    [0, 3],
    [3, 6],
    [6, 9],
    [9, 10],
  ];
  expect(cutsThatFit({ ...batch, usageOf: usageOf(30, 0.1) })).toEqual(parts);
  expect(cutsThatFit({ ...batch, isRowwise: false, usageOf: usageOf(30, 0.1) })).toEqual(parts);
  expect(() => cutsThatFit({ ...batch, usageOf: usageOf(101, 0.1) })).toThrow(/1 row would take 101 MB/);
});

test("it is cut into what fits into the cache where rows are surely apart, groups kept whole", () => {
  const rows = { ...batch, rows: 8, usageOf: usageOf(1, 2) };
  expect(cutsThatFit(rows)).toHaveLength(8);
  expect(cutsThatFit({ ...rows, group: 4 })).toEqual([
    [0, 4],
    [4, 8],
  ]);
  expect(cutsThatFit({ ...rows, isRowwise: false })).toEqual([[0, 8]]);
  expect(cutsThatFit({ ...rows, group: undefined })).toEqual([[0, 8]]);
});

test.each([
  ["MatMul", true],
  ["DynamicQuantizeLinear", false],
])("rows with %s between them are surely apart: %s", (op, isApart) => {
  const shape = ["batch", 4];
  const graph: Graph = {
    name: "",
    inputs: [{ name: "x", type: { dtype: "float32", shape } }],
    outputs: [],
    nodes: [{ name: "", op, domain: "", inputs: ["x"], outputs: ["y"], attributes: {} }],
    initializers: new Map(),
    types: new Map(),
  };
  const feeds = { x: { type: "float32", dims: [3, 4], data: new Float32Array(12) } };
  expect(isRowwise(graph, feeds, "batch", 3, [shape])).toBe(isApart);
});
