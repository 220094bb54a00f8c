import { describe, expect, test } from "vitest";
import { evaluateGraph } from "../../testing/evaluate/evaluate.js";
import { tensorOf } from "../builder.js";
import { operationOf, termsOf } from "../dim.js";
import { dense } from "../elements/dense.js";
import { EXPORTS, exported, tokenFeeds } from "../exports.test-support.js";
import type { Dim, Graph, Node, TensorType } from "../ir.js";
import { operatorCases } from "../operators.test-support.js";
import { contradictions } from "./contradictions.test-support.js";
import { inferGraph } from "./infer.js";

const OPSETS = new Map([
  ["", 17],
  ["com.microsoft", 1],
]);

test.each(operatorCases())("$name: what is inferred is what ONNX's own test has", ({ model, inputs, outputs }) => {
  const inferred = inferGraph({ ...model.graph, types: new Map() }, model.opsets);
  expect(contradictions(inferred, new Map([...inputs, ...outputs]))).toEqual([]);
});

describe.each(EXPORTS)("%s, an export of a tiny transformer", (name) => {
  const model = exported(name);
  const inferred = inferGraph({ ...model.graph, types: new Map() }, model.opsets);
  const { graph } = inferred;

  test("all shapes are expressions over the sizes of the inputs", () => {
    const symbols = new Set(graph.inputs.flatMap(({ type }) => type?.shape ?? []));
    const isOpen = (dim: Dim) =>
      termsOf(dim).some(({ atoms }) => atoms.some((atom) => !symbols.has(atom) && !operationOf(atom)));
    const values = graph.nodes.flatMap(({ outputs }) => outputs.filter(Boolean));
    expect(values.filter((value) => graph.types.get(value)?.shape?.some(isOpen) !== false)).toEqual([]);
  });

  test.each([
    [2, 7],
    [3, 11],
    [1, 1],
  ])("runs with %i rows of %i tokens contradict nothing", (rows, length) => {
    const feeds = tokenFeeds(model, rows, length);
    expect(contradictions(inferred, evaluateGraph(model.graph, feeds, model.opsets.get("")!))).toEqual([]);
  });
});

function nodeOf(
  op: string,
  inputs: string[],
  outputs: string[],
  attributes: Record<string, number | number[]> = {},
  domain = "",
): Node {
  const entries = Object.entries(attributes).map(([name, value]) => [
    name,
    Array.isArray(value) ? { kind: "ints" as const, value } : { kind: "int" as const, value },
  ]);
  return { name: op, op, domain, inputs, outputs, attributes: Object.fromEntries(entries) };
}

/** The shapes of a node's outputs, for inputs named a, b, … of the given types. */
function shapes(node: Node, ...inputs: TensorType[]): (readonly Dim[] | undefined)[] {
  const infos = inputs.map((type, index) => ({ name: String.fromCharCode(97 + index), type }));
  const graph: Graph = {
    name: "",
    nodes: [node],
    inputs: infos,
    outputs: node.outputs.map((name) => ({ name, type: undefined })),
    initializers: new Map(),
    types: new Map(),
  };
  const { types } = inferGraph(graph, OPSETS).graph;
  return node.outputs.map((name) => types.get(name)?.shape);
}

const float = (...shape: Dim[]): TensorType => ({ dtype: "float32", shape });
const ints = (...shape: Dim[]): TensorType => ({ dtype: "int64", shape });
const bytes = (...shape: Dim[]): TensorType => ({ dtype: "uint8", shape });
const contrib = (op: string, inputs: string[], outputs: string[], attributes = {}) =>
  nodeOf(op, inputs, outputs, attributes, "com.microsoft");

test.each<[string, Node, TensorType[], (readonly Dim[] | undefined)[]]>([
  [
    "packed GroupQueryAttention",
    contrib("GroupQueryAttention", ["a", "", "", "b", "c"], ["y", "k", "v"], { num_heads: 4, kv_num_heads: 2 }),
    [float("batch", "seq", 128), float("batch", 2, "past", 16), float("batch", 2, "past", 16)],
    [
      ["batch", "seq", 64],
      ["batch", 2, "[k:2]", 16],
      ["batch", 2, "[k:2]", 16],
    ],
  ],
  [
    "MultiHeadAttention with a cache",
    contrib("MultiHeadAttention", ["a", "b", "c", "", "", "", "d", "e"], ["y", "k", "v"], { num_heads: 4 }),
    [float("b", "s", 64), float("b", "s", 64), float("b", "s", 64), float("b", 4, "p", 16), float("b", 4, "p", 16)],
    [
      ["b", "s", 64],
      ["b", 4, "p + s", 16],
      ["b", 4, "p + s", 16],
    ],
  ],
  [
    "Attention",
    contrib("Attention", ["a", "b", "c"], ["y"], { num_heads: 2 }),
    [float("b", "s", 32), float(32, 96), float(96)],
    [["b", "s", 32]],
  ],
  [
    "MatMulNBits",
    contrib("MatMulNBits", ["a", "b", "c"], ["y"], { K: 64, N: 48, bits: 4 }),
    [float("b", "s", 64), bytes(48, 2, 16), float(96)],
    [["b", "s", 48]],
  ],
  [
    "GatherBlockQuantized of packed bytes",
    contrib("GatherBlockQuantized", ["a", "b", "c"], ["y"], { bits: 4, gather_axis: 0, quantize_axis: 1 }),
    [bytes(256, 32), ints("b", "s"), float(256, 2)],
    [["b", "s", 64]],
  ],
  [
    "SkipLayerNormalization",
    contrib("SkipLayerNormalization", ["a", "b", "c"], ["y", "", "", "sum"]),
    [float("b", "s", 32), float("b", "s", 32), float(32)],
    [["b", "s", 32], undefined, undefined, ["b", "s", 32]],
  ],
  [
    "EmbedLayerNormalization",
    contrib("EmbedLayerNormalization", ["a", "b", "c"], ["y", "mask"]),
    [ints("b", "s"), ints("b", "s"), float(99, 32)],
    [["b", "s", 32], ["b"]],
  ],
  [
    "FusedMatMul",
    contrib("FusedMatMul", ["a", "b"], ["y"], { transB: 1 }),
    [float("b", "s", 8), float("b", "t", 8)],
    [["b", "s", "t"]],
  ],
  [
    "Attention of opset 23 on flat heads",
    nodeOf("Attention", ["a", "b", "c", "", "d", "e"], ["y", "k", "v"], { q_num_heads: 4, kv_num_heads: 2 }),
    [float("b", "s", 64), float("b", "t", 32), float("b", "t", 32), float("b", 2, "p", 16), float("b", 2, "p", 16)],
    [
      ["b", "s", 64],
      ["b", 2, "p + t", 16],
      ["b", 2, "p + t", 16],
    ],
  ],
  [
    "DynamicQuantizeLinear",
    nodeOf("DynamicQuantizeLinear", ["a"], ["y", "scale", "zero"]),
    [float("b", 8)],
    [["b", 8], [], []],
  ],
  ["an operator that nobody knows", nodeOf("Mystery", ["a"], ["y"], {}), [float("b", 8)], [undefined]],
  [
    "an axis that is not there",
    nodeOf("Gather", ["a", "b"], ["y"], { axis: 5 }),
    [float("b", 8), ints("s")],
    [undefined],
  ],
])("%s", (_, node, inputs, expected) => {
  expect(shapes(node, ...inputs)).toEqual(expected);
});

test("both branches of If must agree", () => {
  const branch = (op: string, output: string): Graph => ({
    name: output,
    nodes: [nodeOf(op, ["b"], [output])],
    inputs: [],
    outputs: [{ name: output, type: undefined }],
    initializers: new Map(),
    types: new Map(),
  });
  const conditional = (then: string, other: string): Node => ({
    ...nodeOf("If", ["a"], ["y"]),
    attributes: {
      then_branch: { kind: "graph", value: branch(then, "t") },
      else_branch: { kind: "graph", value: branch(other, "e") },
    },
  });
  const inputs: TensorType[] = [{ dtype: "bool", shape: [] }, float("b", 8)];
  expect(shapes(conditional("Relu", "Neg"), ...inputs)).toEqual([["b", 8]]);
  expect(shapes(conditional("Relu", "Transpose"), ...inputs)).toEqual([undefined]);
});

test.each([1, 2, 3])("a range in steps of %i is as long as runs make it", (step) => {
  const graph: Graph = {
    name: "",
    nodes: [
      nodeOf("Shape", ["a"], ["sizes"]),
      nodeOf("Squeeze", ["sizes"], ["length"]),
      nodeOf("Add", ["length", "one"], ["limit"]),
      nodeOf("Range", ["zero", "limit", "step"], ["y"]),
    ],
    inputs: [{ name: "a", type: float("length") }],
    outputs: [{ name: "y", type: undefined }],
    initializers: new Map(
      Object.entries({ zero: 0, one: 1, step }).map(([name, value]) => [name, tensorOf("int64", [value], [])]),
    ),
    types: new Map(),
  };
  const inferred = inferGraph(graph, OPSETS);
  for (const length of [1, 2, 3, 4, 5, 6, 7]) {
    const feeds = new Map([["a", dense("float32", [length], new Float64Array(length))]]);
    const run = evaluateGraph(graph, feeds, 17);
    expect(run.get("y")?.dims).toEqual([Math.ceil((length + 1) / step)]);
    expect(contradictions(inferred, run)).toEqual([]);
  }
});

test("expressions that would double from layer to layer are cut off", () => {
  const nodes = Array.from({ length: 60 }, (_, index) => nodeOf("Add", [`v${index}`, `w${index}`], [`v${index + 1}`]));
  const turns = Array.from({ length: 60 }, (_, index) => nodeOf("Transpose", [`v${index}`], [`w${index}`]));
  const graph: Graph = {
    name: "",
    nodes: nodes.flatMap((node, index) => [turns[index]!, node]),
    inputs: [{ name: "v0", type: float("a", "b") }],
    outputs: [{ name: "v60", type: undefined }],
    initializers: new Map(),
    types: new Map(),
  };
  expect(inferGraph(graph, OPSETS).graph.types.get("v60")?.shape?.length).toBe(2);
});
