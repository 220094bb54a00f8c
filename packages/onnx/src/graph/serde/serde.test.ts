import { expect, test } from "vitest";
import { OnnxError } from "../../base/errors.js";
import { tensorOf, toAttributes } from "../builder.js";
import type { Attribute, Graph, Model, Node, Tensor } from "../ir.js";
import { readModel } from "./read.js";
import { encodeModel } from "./write.js";

const big = tensorOf(
  "float32",
  Array.from({ length: 512 }, (_, index) => index / 3),
  [16, 32],
);

const inner: Graph = {
  name: "branch",
  nodes: [node("Neg", ["y"], ["branch_out"])],
  inputs: [],
  outputs: [{ name: "branch_out", type: { dtype: "float32", shape: ["batch", 32] } }],
  initializers: new Map(),
  types: new Map([["branch_out", { dtype: "float32", shape: ["batch", 32] }]]),
};

const attributes: Record<string, Attribute> = {
  then_branch: { kind: "graph", value: inner },
  int: { kind: "int", value: -3 },
  largest: { kind: "int", value: 2 ** 63 },
  float: { kind: "float", value: 0.5 },
  string: { kind: "string", value: "NOTSET" },
  ints: { kind: "ints", value: [1, -(2 ** 63), 0] },
  floats: { kind: "floats", value: [1.5, Number.NEGATIVE_INFINITY] },
  strings: { kind: "strings", value: ["a", "b"] },
  tensor: { kind: "tensor", value: tensorOf("int64", [2 ** 40, -1], [2]) },
};

const model: Model = {
  irVersion: 8,
  producer: "test",
  opsets: new Map([
    ["", 17],
    ["com.microsoft", 1],
  ]),
  graph: {
    name: "g",
    nodes: [node("MatMul", ["x", "w"], ["y"]), { ...node("If", ["flag"], ["z"]), attributes }],
    inputs: [
      { name: "x", type: { dtype: "float32", shape: ["batch", 16] } },
      { name: "flag", type: { dtype: "bool", shape: [] } },
    ],
    outputs: [{ name: "z", type: { dtype: "float32", shape: ["batch", 32] } }],
    initializers: new Map([["w", big]]),
    types: new Map([
      ["x", { dtype: "float32", shape: ["batch", 16] }],
      ["flag", { dtype: "bool", shape: [] }],
      ["z", { dtype: "float32", shape: ["batch", 32] }],
    ]),
  },
  functions: [
    {
      name: "Twice",
      domain: "own",
      inputs: ["a"],
      outputs: ["b"],
      attributes: ["alpha"],
      defaults: toAttributes({ axis: 1 }),
      nodes: [{ ...node("Mul", ["a", "a"], ["b"]), attributes: { alpha: { kind: "reference", value: "alpha" } } }],
      opsets: new Map([["", 17]]),
    },
  ],
  metadata: new Map([["key", "value"]]),
};

function node(op: string, inputs: string[], outputs: string[]): Node {
  return { name: `node_${outputs[0]}`, op, domain: "", inputs, outputs, attributes: {} };
}

function elementsOf(tensor: Tensor | undefined): Uint8Array | undefined {
  return tensor?.data.kind === "bytes" ? tensor.data.bytes : undefined;
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof OnnxError ? error.code : `${error}`;
  }
  return "no error";
}

test("what is written is read again", () => {
  const again = readModel(encodeModel(model));
  const weight = again.graph.initializers.get("w");
  expect(elementsOf(weight)).toEqual(elementsOf(big));
  expect({ ...again, graph: { ...again.graph, initializers: model.graph.initializers } }).toEqual(model);
});

test("weights are views of the file, and a derived model refers to their place in it", () => {
  const bytes = encodeModel(model);
  const read = readModel(bytes);
  const weight = read.graph.initializers.get("w")!;
  expect(elementsOf(weight)!.buffer).toBe(bytes.buffer);

  const derived = encodeModel(read, { self: "model.onnx" });
  expect(derived.length).toBeLessThan(bytes.length - 1900);
  const { data } = readModel(derived).graph.initializers.get("w")!;
  if (data.kind !== "external") throw new Error(data.kind);
  expect(data.location).toBe("model.onnx");
  expect(bytes.subarray(data.offset, data.offset + data.length)).toEqual(elementsOf(big));
});

test("a file that was cut is told so, unless it was cut between the fields behind the graph", () => {
  const bytes = encodeModel(model);
  const codes = Array.from({ length: bytes.length }, (_, length) => codeOf(() => readModel(bytes.subarray(0, length))));
  expect(new Set(codes)).toEqual(new Set(["truncated", "not-onnx", "no error"]));
  expect(codes.filter((code) => code === "no error").length).toBe(3);
});

test.each([
  ["text", new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a")],
  ["HTML", new TextEncoder().encode("<!DOCTYPE html><html><body>404</body></html>")],
  ["zeros", new Uint8Array(100)],
  ["nothing", new Uint8Array()],
  ["a zip file", Uint8Array.of(0x50, 0x4b, 3, 4, 20, 0, 0, 0, 8, 0)],
])("%s is no ONNX model", (_, bytes) => {
  expect(codeOf(() => readModel(bytes))).toBe("not-onnx");
});

const external = (data: Partial<{ location: string; offset: number; length: number }>) => ({
  ...model,
  graph: {
    ...model.graph,
    initializers: new Map([
      ["w", { ...big, data: { kind: "external" as const, location: "w.bin", offset: 0, length: 2048, ...data } }],
    ]),
  },
});

test.each(["../w.bin", "a/../../w.bin", "/etc/passwd", "C:\\w.bin", "..\\w.bin", "\\\\host\\w.bin", "a/", "w\0.bin"])(
  "external data at %j is refused",
  (location) => {
    expect(codeOf(() => readModel(encodeModel(external({ location }))))).toBe("external-data");
  },
);

test("external data of another length than the tensor's is refused", () => {
  expect(codeOf(() => readModel(encodeModel(external({ length: 2044 }))))).toBe("invalid-graph");
  expect(codeOf(() => readModel(encodeModel(external({}))))).toBe("no error");
});

test.each<[string, (graph: Graph) => Partial<Graph>]>([
  ["a cycle", () => ({ nodes: [node("Add", ["x", "z"], ["y"]), node("Neg", ["y"], ["z"])] })],
  ["a value made twice", ({ nodes }) => ({ nodes: [...nodes, node("Neg", ["x"], ["y"])] })],
  ["a value that nothing makes", ({ nodes }) => ({ nodes: [...nodes, node("Neg", ["nowhere"], ["n"])] })],
  ["an output that nothing makes", () => ({ outputs: [{ name: "nowhere", type: undefined }] })],
  ["a weight that is too short", () => ({ initializers: new Map([["w", { ...big, dims: [17, 32] }]]) })],
  ["a node that makes an input", ({ nodes }) => ({ nodes: [...nodes, node("Neg", ["y"], ["x"])] })],
])("%s is refused", (_, change) => {
  const changed = { ...model, graph: { ...model.graph, ...change(model.graph) } };
  expect(codeOf(() => readModel(encodeModel(changed)))).toBe("invalid-graph");
});

test("nodes in the wrong order are sorted", () => {
  const nodes = model.graph.nodes.toReversed();
  expect(
    readModel(encodeModel({ ...model, graph: { ...model.graph, nodes } })).graph.nodes.map(({ op }) => op),
  ).toEqual(["MatMul", "If"]);
});
