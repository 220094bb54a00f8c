import { describe, expect, test } from "vitest";
import { evaluateGraph } from "../../testing/evaluate/evaluate.js";
import { tensorOf, toAttributes } from "../builder.js";
import { dense } from "../elements/dense.js";
import { EXPORTS, exported, tokenFeeds } from "../exports.test-support.js";
import type { Attributes, Graph, Model, ModelFunction, Node } from "../ir.js";
import { readModel } from "../serde/read.js";
import { encodeModel } from "../serde/write.js";
import { fixInput } from "./inline-if.js";
import { simplify } from "./simplify.js";

function node(op: string, inputs: string[], output: string, attributes: Attributes = {}, domain = ""): Node {
  return { name: output, op, domain, inputs, outputs: [output], attributes };
}

function modelOf(nodes: Node[], change: Partial<Graph> = {}, functions: ModelFunction[] = []): Model {
  const graph: Graph = {
    name: "g",
    nodes,
    inputs: [{ name: "x", type: { dtype: "float32", shape: ["batch", "seq", 8] } }],
    outputs: [{ name: "y", type: undefined }],
    initializers: new Map(),
    types: new Map(),
    ...change,
  };
  return { irVersion: 8, producer: "", opsets: new Map([["", 17]]), graph, functions, metadata: new Map() };
}

/** What a model gives for x = 0, 1, 2, … */
function run({ graph }: Model, rows: number, length: number) {
  const x = dense(
    "float32",
    [rows, length, 8],
    Array.from({ length: rows * length * 8 }, (_, index) => index),
  );
  return evaluateGraph(graph, new Map([["x", x]]), 17).get("y");
}

function text({ graph }: Model): string[] {
  return graph.nodes.map(({ op, inputs, outputs }) => `${outputs} = ${op}(${inputs})`);
}

describe.each(EXPORTS)("%s", (name) => {
  const model = exported(name);
  const simple = simplify(model);

  test("takes fewer nodes, and is still a model that can be written and read", () => {
    expect(simple.graph.nodes.length).toBeLessThan(model.graph.nodes.length * (name === "llama-dynamo" ? 0.96 : 0.45));
    expect(readModel(encodeModel(simple)).graph.nodes).toHaveLength(simple.graph.nodes.length);
  });

  test("keeps every projection by its name", () => {
    const names = ({ graph }: Model) => graph.nodes.filter(({ op }) => /MatMul|Gemm/.test(op)).map((each) => each.name);
    expect(names(simple)).toEqual(names(model));
  });

  test.each([
    [2, 7],
    [1, 1],
    [3, 12],
  ])("gives the same for %i rows of %i tokens", (rows, length) => {
    const outputs = [model, simple].map((each) =>
      evaluateGraph(each.graph, tokenFeeds(model, rows, length), each.opsets.get("")!),
    );
    for (const { name: output } of model.graph.outputs)
      expect(outputs[1]!.get(output)).toEqual(outputs[0]!.get(output));
  });
});

const shapeOfHeads = [
  node("Shape", ["x"], "shape"),
  node("Constant", [], "first", toAttributes({ value: { kind: "tensor", value: tensorOf("int64", [0], []) } })),
  node("Gather", ["shape", "first"], "batch"),
  node("Constant", [], "axes", toAttributes({ value_ints: [0] })),
  node("Unsqueeze", ["batch", "axes"], "batch1"),
  node("Constant", [], "minus", toAttributes({ value_ints: [-1] })),
  node("Constant", [], "heads", toAttributes({ value_ints: [2] })),
  node("Constant", [], "size", toAttributes({ value_ints: [4] })),
];

test("a chain of shapes becomes one constant", () => {
  const model = modelOf([
    ...shapeOfHeads,
    node("Concat", ["batch1", "minus", "heads", "size"], "wanted", toAttributes({ axis: 0 })),
    node("Reshape", ["x", "wanted"], "y"),
  ]);
  const simple = simplify(model);
  expect(simple.graph.nodes.map(({ op }) => op)).toEqual(["Reshape"]);
  expect(run(simple, 3, 5)).toEqual(run(model, 3, 5));
});

test("what no constant can say is computed once from the inputs", () => {
  const model = modelOf([
    ...shapeOfHeads,
    node("Mul", ["batch1", "heads"], "twice"),
    node("Concat", ["heads", "batch1", "minus"], "wanted", toAttributes({ axis: 0 })),
    node("Tile", ["x", "repeats"], "tiled"),
    node("Concat", ["heads", "heads", "heads"], "repeats", toAttributes({ axis: 0 })),
    node("Reshape", ["tiled", "flat"], "z"),
    node("Concat", ["twice", "minus"], "flat", toAttributes({ axis: 0 })),
    node("Shape", ["z"], "zs"),
    node("ReduceProd", ["zs"], "elements", toAttributes({ keepdims: 0 })),
    node("Cast", ["elements"], "y", toAttributes({ to: 1 })),
  ]);
  const simple = simplify(readModel(encodeModel(model)));
  expect(simple.graph.nodes.map(({ op }) => op).filter((op) => op === "Shape")).toEqual(["Shape"]);
  expect(run(simple, 3, 5)!.data[0]).toBe(3 * 5 * 8 * 8);
});

test("nodes that do nothing are left out, but for those that make an output", () => {
  const model = modelOf([
    node("Cast", ["x"], "a", toAttributes({ to: 1 })),
    node("Identity", ["a"], "b"),
    node("Neg", ["b"], "c"),
    node("Neg", ["x"], "c2"),
    node("Add", ["c", "c2"], "d"),
    node("Identity", ["d"], "y"),
  ]);
  expect(text(simplify(model))).toEqual(["c = Neg(x)", "d = Add(c,c)", "y = Identity(d)"]);
});

const scaled: ModelFunction = {
  name: "Scaled",
  domain: "own",
  inputs: ["a", "b"],
  outputs: ["c", "a"],
  attributes: ["to"],
  defaults: {},
  nodes: [node("Mul", ["a", "b"], "t"), node("Cast", ["t"], "c", { to: { kind: "reference", value: "to" } })],
  opsets: new Map([["", 17]]),
};

test("functions are inlined, their values under names of their own", () => {
  const call = (inputs: string[], outputs: string[]) => ({
    ...node("Scaled", inputs, "", toAttributes({ to: 1 }), "own"),
    name: `call_${outputs[0]}`,
    outputs,
  });
  const model = modelOf([call(["x", "x"], ["s", "same"]), call(["s", "same"], ["y"])], {}, [scaled]);
  const simple = simplify(model);
  expect(simple.functions).toEqual([]);
  expect(simple.graph.nodes.map(({ op }) => op)).toEqual(["Mul", "Mul", "Cast"]);
  expect(run(simple, 1, 1)!.data[2]).toBe(8);
});

test("a function that calls itself is refused", () => {
  const loop = { ...scaled, nodes: [node("Scaled", ["a", "b"], "c", {}, "own")] };
  expect(() => simplify(modelOf([node("Scaled", ["x", "x"], "y", {}, "own")], {}, [loop]))).toThrow(/deep/);
});

test("functions that call each other twice, thirty times over, are refused before they fill the memory", () => {
  const twice = (level: number): ModelFunction => ({
    ...scaled,
    name: `F${level}`,
    outputs: ["c"],
    nodes: [node(`F${level + 1}`, ["a", "b"], "t", {}, "own"), node(`F${level + 1}`, ["t", "b"], "c", {}, "own")],
  });
  const functions = [
    ...Array.from({ length: 30 }, (_, level) => twice(level)),
    { ...scaled, name: "F30", outputs: ["c"] },
  ];
  expect(() => simplify(modelOf([node("F0", ["x", "x"], "y", {}, "own")], {}, functions))).toThrow(/more than/);
});

test("the branch that is always taken takes the place of its If", () => {
  const branch = (op: string): Graph => ({
    ...modelOf([node(op, ["x"], "t"), node("Neg", ["t"], "r")]).graph,
    inputs: [],
    outputs: [{ name: "r", type: undefined }],
  });
  const conditional = node("If", ["use_cache"], "y", {
    then_branch: { kind: "graph", value: branch("Exp") },
    else_branch: { kind: "graph", value: branch("Abs") },
  });
  const model = modelOf([node("Neg", ["x"], "t"), conditional], {
    inputs: [...modelOf([]).graph.inputs, { name: "use_cache", type: { dtype: "bool", shape: [1] } }],
  });
  expect(simplify(model).graph.nodes.map(({ op }) => op)).toEqual(["If"]);
  const fixed = simplify(fixInput(model, "use_cache", tensorOf("bool", [0], [1])));
  expect(fixed.graph.inputs.map(({ name }) => name)).toEqual(["x"]);
  expect(fixed.graph.nodes.map(({ op }) => op)).toEqual(["Abs", "Neg", "Identity"]);
  expect(run(fixed, 1, 1)!.data[3]).toBe(-3);
});
