import { expect, test } from "vitest";
import { readModel } from "../graph/serde/read.js";
import { SmallModel } from "../testing/small-models.test-support.js";
import { splitBranches } from "./branches.js";

test("an output that is declared without one of its axes says what its nodes give", () => {
  const m = new SmallModel();
  m.input("x", ["batch", "steps", 8]);
  m.weight("W", [8, 6]);
  const bytes = m.output("y", m.node("fc", "MatMul", ["x", "W"]), ["batch", 6]).bytes();
  const [branch] = splitBranches(readModel(bytes)).branches;
  expect(branch!.model.graph.outputs.map(({ type }) => type?.shape)).toEqual([["batch", "steps", 6]]);
});
