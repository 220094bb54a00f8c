import * as ort from "onnxruntime-web";
import { beforeAll, expect, test } from "vitest";
import { tensorOf } from "../builder.js";
import type { Attribute, Graph, Model, Node, Tensor, ValueInfo } from "../ir.js";
import { encodeModel } from "../serde/write.js";
import { type Branch, branchesOf, choiceOf, joinBranches } from "./branches.js";

beforeAll(() => {
  ort.env.wasm.numThreads = 1;
});

function node(op: string, inputs: string[], output: string, attributes: Node["attributes"] = {}): Node {
  return { name: output, op, domain: "", inputs, outputs: [output], attributes };
}

function value(name: string, dtype: "bool" | "float32", shape: readonly (number | string)[]): ValueInfo {
  return { name, type: { dtype, shape } };
}

function branch(nodes: Node[], own: Tensor): Attribute {
  const outputs = [value("y", "float32", ["n", "k"])];
  const graph = { name: "b", nodes, inputs: [], outputs, initializers: new Map([["own", own]]), types: new Map() };
  return { kind: "graph", value: graph };
}

/** z = -y, where y = |x| + past + 2 if `again`, else exp(|x|) + (1 + … + 1, 300 times). */
const MERGED: Model = (() => {
  const ones = tensorOf("float32", Array(300).fill(1), [300]);
  const then_branch = branch(
    [node("Add", ["a", "past"], "t"), node("Add", ["t", "own"], "y")],
    tensorOf("float32", [2], [1]),
  );
  const sum = [node("ReduceSum", ["own"], "s"), node("Exp", ["a"], "t"), node("Add", ["t", "s"], "y")];
  const nodes = [
    node("Abs", ["x"], "a"),
    node("If", ["again"], "y", { then_branch, else_branch: branch(sum, ones) }),
    node("Neg", ["y"], "z"),
  ];
  const inputs = [value("x", "float32", ["n", "k"]), value("past", "float32", ["n", "k"]), value("again", "bool", [1])];
  const outputs = [value("z", "float32", ["n", "k"])];
  const graph: Graph = { name: "g", nodes, inputs, outputs, initializers: new Map(), types: new Map() };
  return { irVersion: 9, producer: "", opsets: new Map([["", 18]]), graph, functions: [], metadata: new Map() };
})();

async function run(model: Model, when: boolean): Promise<number[]> {
  const session = await ort.InferenceSession.create(encodeModel(model));
  const feeds: Record<string, ort.Tensor> = {
    x: new ort.Tensor("float32", [-1, 2], [1, 2]),
    past: new ort.Tensor("float32", [10, 20], [1, 2]),
    again: new ort.Tensor("bool", [when], [1]),
  };
  const fed = session.inputNames.map((name) => [name, feeds[name]!] as const);
  const { z } = await session.run(Object.fromEntries(fed));
  return [...(z!.data as Float32Array)];
}

const EXPECTED = { true: [-13, -24], false: [-300 - Math.E, -300 - Math.E ** 2].map(Math.fround) };

test("what an input chooses between is two models, each without what it does not take", async () => {
  expect(choiceOf(MERGED.graph)).toBe("again");
  const branches = branchesOf(MERGED);
  expect(branches.map(({ when }) => when)).toEqual([false, true]);
  const [without, behind] = branches.map(({ model }) => model) as [Model, Model];
  expect(without.graph.inputs).toEqual(MERGED.graph.inputs.slice(0, 1));
  // What the file says of an input that both take holds in the first branch only.
  expect(behind.graph.inputs).toEqual([value("x", "float32", ["n", "[x:1]"]), MERGED.graph.inputs[1]]);
  expect(await run(without, false)).toEqual(EXPECTED.false);
  expect(await run(behind, true)).toEqual(EXPECTED.true);
});

test("joined again, nodes around the If stay there, and long tensors come there", async () => {
  const joined = joinBranches(MERGED, branchesOf(MERGED));
  expect(joined.graph.nodes.map(({ op }) => op)).toEqual(["Abs", "If", "Neg"]);
  expect([...joined.graph.initializers.values()].map(({ dims }) => dims)).toEqual([[300]]);
  for (const when of [false, true]) expect(await run(joined, when)).toEqual(EXPECTED[`${when}`]);
});

test("joined again, with a branch that changed a node around the If, all of them are in the branches", async () => {
  const [without, behind] = branchesOf(MERGED) as [Branch, Branch];
  const nodes = behind.model.graph.nodes.map((each) => (each.op === "Abs" ? { ...each, op: "Neg" } : each));
  const changed = { ...behind, model: { ...behind.model, graph: { ...behind.model.graph, nodes } } };
  const joined = joinBranches(MERGED, [without, changed]);
  expect(joined.graph.nodes.map(({ op }) => op)).toEqual(["If"]);
  expect(await run(joined, false)).toEqual(EXPECTED.false);
  expect(await run(joined, true)).toEqual([-13, -20]);
});

test("a model that chooses nothing is its own branch", () => {
  const model = { ...MERGED, graph: { ...MERGED.graph, nodes: [], inputs: MERGED.graph.inputs.slice(2) } };
  expect(branchesOf(model)).toEqual([{ when: undefined, model }]);
  expect(joinBranches(model, branchesOf(model))).toBe(model);
});
