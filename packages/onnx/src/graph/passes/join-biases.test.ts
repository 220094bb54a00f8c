import { expect, test } from "vitest";
import { evaluateGraph } from "../../testing/evaluate/evaluate.js";
import { GraphBuilder } from "../builder.js";
import { dense } from "../elements/dense.js";
import { inferTypes } from "../infer/infer.js";
import type { Model, Shape } from "../ir.js";
import { joinBiases } from "./join-biases.js";

type Write = (builder: GraphBuilder, x: string, weight: string) => readonly string[];

const numbers = (count: number) => Array.from({ length: count }, (_, i) => Math.sin(3 * i) + 0.2);
const WEIGHT = numbers(4 * 3);
const bias = (b: GraphBuilder) => b.constant("float32", [1, 2, 3]);

/** Functions of x and a weight [4, 3] as a model. */
function modelOf(write: Write, shape: Shape = ["rows", "tokens", 4]): Model {
  const builder = new GraphBuilder("t");
  const outputs = write(builder, "x", builder.constant("float32", WEIGHT, [4, 3]));
  const graph = {
    name: "",
    nodes: builder.nodes,
    inputs: [{ name: "x", type: { dtype: "float32", shape } as const }],
    outputs: outputs.map((name) => ({ name, type: undefined })),
    initializers: builder.initializers,
    types: new Map(),
  };
  const opsets = new Map([["", 20]]);
  return inferTypes({ irVersion: 10, producer: "", opsets, functions: [], metadata: new Map(), graph });
}

function run({ graph }: Model, dims: readonly number[]): number[][] {
  const x = dense("float32", dims, numbers(dims.reduce((a, b) => a * b)));
  const values = evaluateGraph(graph, new Map([["x", x]]), 20);
  return graph.outputs.map(({ name }) => Array.from(values.get(name)!.data, Number));
}

const JOINED: readonly (readonly [string, Write])[] = [
  ["a product and its bias", (b, x, w) => [b.op("Add", [b.op("MatMul", [x, w]), bias(b)])]],
  ["a bias that comes first", (b, x, w) => [b.op("Add", [bias(b), b.op("MatMul", [x, w])])]],
  [
    "an adapter between them",
    (b, x, w) => {
      const base = b.op("MatMul", [x, w]);
      const delta = b.op("Mul", [b.op("MatMul", [b.op("Sin", [x]), w]), b.scalar(0.5)]);
      return [b.op("Relu", [b.op("Add", [b.op("Add", [base, delta]), bias(b)])])];
    },
  ],
  [
    "two products in a row",
    (b, x, w) => {
      const first = b.op("Add", [b.op("MatMul", [x, w]), bias(b)]);
      const second = b.op("MatMul", [first, b.constant("float32", numbers(9), [3, 3])]);
      return [b.op("Add", [second, bias(b)])];
    },
  ],
];

test.each(JOINED)("%s become one node", (_, write) => {
  const model = modelOf(write);
  const joined = joinBiases(model);
  const count = ({ graph }: Model, op: string) => graph.nodes.filter((node) => node.op === op).length;
  expect(count(joined, "Gemm")).toBeGreaterThan(0);
  expect(count(joined, "Gemm")).toBe(count(model, "Add") - count(joined, "Add"));
  const [before, after] = [model, joined].map((each) => run(each, [2, 5, 4])[0]!);
  for (const [i, value] of after!.entries()) expect(value).toBeCloseTo(before![i]!, 5);
});

const LEFT: readonly (readonly [string, Write])[] = [
  [
    "a product that something else takes",
    (b, x, w) => {
      const product = b.op("MatMul", [x, w]);
      return [b.op("Add", [product, bias(b)]), b.op("Neg", [product])];
    },
  ],
  [
    "a product that is an output",
    (b, x, w) => {
      const product = b.op("MatMul", [x, w]);
      return [product, b.op("Add", [product, bias(b)])];
    },
  ],
  ["twice a product", (b, x, w) => [b.op("Add", [twice(b, b.op("MatMul", [x, w])), bias(b)])]],
  ["one number", (b, x, w) => [b.op("Add", [b.op("MatMul", [x, w]), b.scalar(2)])]],
];

function twice(b: GraphBuilder, value: string): string {
  return b.op("Add", [value, value]);
}

test.each(LEFT)("%s stays as it is", (_, write) => {
  const model = modelOf(write);
  expect(joinBiases(model).graph.nodes).toEqual(model.graph.nodes);
});

test("a product of two dimensions stays as it is, since onnxruntime joins those", () => {
  const model = modelOf((b, x, w) => [b.op("Add", [b.op("MatMul", [x, w]), bias(b)])], ["rows", 4]);
  expect(joinBiases(model).graph.nodes).toEqual(model.graph.nodes);
});
