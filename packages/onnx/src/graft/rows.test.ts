import { expect, test } from "vitest";
import type { Dim, Node } from "../graph/ir.js";
import { rowsIn } from "./rows.js";

/** Values of a chain of nodes, each with its shape, and where the rows are in the last one. */
function rowsAfter(start: readonly Dim[], ...steps: readonly (readonly [op: string, shape: readonly Dim[]])[]) {
  const shapes = new Map([["v0", start], ...steps.map(([, shape], i) => [`v${i + 1}`, shape] as const)]);
  const producers = new Map(
    steps.map(([op], i): [string, Node] => {
      const node = { name: op, op, domain: "", inputs: [`v${i}`], outputs: [`v${i + 1}`], attributes: {} };
      return [`v${i + 1}`, node];
    }),
  );
  const typeOf = (value: string) => ({ dtype: "float32" as const, shape: shapes.get(value) });
  return rowsIn(`v${steps.length}`, { typeOf, producers, batches: ["batch"] });
}

test("rows are told by the dimension that is the batch", () => {
  expect(rowsAfter(["batch", "seq", 8])).toEqual({ batch: "batch", axis: 0 });
  expect(rowsAfter(["seq", "batch", 8])).toEqual({ batch: "batch", axis: 1 });
  expect(rowsAfter(["seq", 8])).toBeUndefined();
  expect(rowsAfter(["heads", "seq", "batch", 8])).toBeUndefined();
});

test("of a flattened value by what it was before", () => {
  const flat = ["batch*seq", 8] as const;
  expect(rowsAfter(["batch", "seq", 8], ["Reshape", flat])).toEqual({ batch: "batch", axis: 0 });
  expect(rowsAfter(["seq", "batch", 8], ["Reshape", flat], ["Relu", flat])).toEqual({ batch: "batch", axis: 1 });
  expect(rowsAfter(["batch", "seq", 8], ["Reshape", flat], ["Gather", flat])).toBeUndefined();
  expect(rowsAfter(["seq", "batch", 4, 8], ["Reshape", ["4*batch*seq", 8]])).toBeUndefined();
  expect(rowsAfter(flat)).toBeUndefined();
});
