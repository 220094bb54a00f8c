import { expect, test } from "vitest";
import { tensorOf } from "../graph/builder.js";
import type { Graph, Node, TensorType } from "../graph/ir.js";
import { sizeAt } from "../graph/sizes.js";
import { MemoryEstimate, spansOf } from "./memory.js";

test("sizes of expressions", () => {
  const symbols = new Map([
    ["batch", 3],
    ["seq", 7],
  ]);
  expect(sizeAt(5, symbols)).toBe(5);
  expect(sizeAt("2*batch*seq + seq - 1", symbols)).toBe(48);
  expect(sizeAt("max(batch, seq)", symbols)).toBe(7);
  expect(sizeAt("batch + unknown", symbols)).toBeUndefined();
});

test("the peak counts what is alive at once, the mean what each node makes", () => {
  const node = (op: string, inputs: string[], output: string): Node => {
    return { name: output, op, domain: "", inputs, outputs: [output], attributes: {} };
  };
  const floats: TensorType = { dtype: "float32", shape: ["n", 10] };
  const graph: Graph = {
    name: "chain",
    nodes: [node("Neg", ["x"], "a"), node("Neg", ["a"], "b"), node("Neg", ["b"], "c"), node("Add", ["c", "a"], "d")],
    inputs: [{ name: "x", type: floats }],
    outputs: [{ name: "d", type: floats }],
    initializers: new Map([["w", tensorOf("float32", [1], [1])]]),
    types: new Map(["x", "a", "b", "c", "d"].map((name) => [name, floats])),
  };
  const memory = new MemoryEstimate({ steps: graph.nodes.length, spans: spansOf(graph) });
  const row = 10 * 4;
  expect(memory.usageAt(new Map([["n", 2]]))).toEqual({ peak: 3 * 2 * row, mean: 2 * row });
});
