import { describe, expect, test } from "vitest";
import { GraphBuilder } from "../graph/builder.js";
import { type Dense, dense } from "../graph/elements/dense.js";
import type { Model, Node, ValueInfo } from "../graph/ir.js";
import { backward } from "./backward.js";
import { evaluate } from "./oracle.test-support.js";

const float = (name: string, ...shape: number[]): ValueInfo => ({ name, type: { dtype: "float64", shape } });

function modelOf(inputs: readonly ValueInfo[], outputs: readonly string[], write: (b: GraphBuilder) => void): Model {
  const builder = new GraphBuilder("t");
  write(builder);
  return {
    irVersion: 10,
    producer: "",
    opsets: new Map([
      ["", 20],
      ["com.microsoft", 1],
    ]),
    functions: [],
    metadata: new Map(),
    graph: {
      name: "",
      nodes: builder.nodes,
      inputs,
      outputs: outputs.map((name) => ({ name, type: undefined })),
      initializers: builder.initializers,
      types: new Map(),
    },
  };
}

function node(op: string, inputs: readonly string[], output: string, more: Partial<Node> = {}): Node {
  return { name: output, op, domain: "", inputs, outputs: [output], attributes: {}, ...more };
}

function gradientsOf(model: Model, wrt: readonly string[], feeds: Record<string, Dense>): Record<string, number[]> {
  const derived = backward(model, { seeds: { loss: "loss" }, wrt });
  const values = evaluate(derived.model.graph, new Map(Object.entries(feeds)));
  return Object.fromEntries([...derived.gradients].map(([value, name]) => [value, [...values.get(name)!.data]]));
}

const TWO = { x: dense("float64", [2], [2, 3]), y: dense("float64", [2], [5, 7]) };

test("a value that is used several times has the sum of its gradients", () => {
  const model = modelOf([float("x", 2), float("y", 2)], ["loss"], (b) => {
    b.add(node("Mul", ["x", "x"], "square"));
    b.add(node("Add", ["square", "y"], "sum"));
    b.add(node("Mul", ["sum", "x"], "product"));
    b.add(node("ReduceSum", ["product"], "loss", { attributes: { keepdims: { kind: "int", value: 0 } } }));
  });
  expect(gradientsOf(model, ["x", "y", "square"], TWO)).toEqual({ x: [17, 34], y: [2, 3], square: [2, 3] });
});

test("only what lies between the values and the loss is derived", () => {
  const model = modelOf([float("x", 2), float("y", 2)], ["loss"], (b) => {
    b.add(node("Exp", ["y"], "below"));
    b.add(node("Mul", ["below", "x"], "product"));
    b.add(node("Exp", ["x"], "beside"));
    b.add(node("ReduceSum", ["product"], "loss", { attributes: { keepdims: { kind: "int", value: 0 } } }));
  });
  const { model: derived } = backward(model, { seeds: { loss: "loss" }, wrt: ["x"] });
  expect(derived.graph.nodes.map(({ op }) => op)).toEqual(["Exp", "Mul", "Exp", "ReduceSum", "Expand", "Mul"]);
});

describe("a node without a rule", () => {
  const model = modelOf([float("x", 2), float("y", 2), float("z", 2)], ["loss"], (b) => {
    b.add(node("Mul", ["x", "y"], "low"));
    b.add(node("Secret", ["low"], "cut", { domain: "of.somebody" }));
    b.add(node("Mul", ["cut", "z"], "high"));
    b.add(node("Add", ["high", "y"], "sum"));
    b.add(node("ReduceSum", ["sum"], "loss", { attributes: { keepdims: { kind: "int", value: 0 } } }));
  });

  test("cuts off what has a path through it, also where there is another path, and is named", () => {
    const { missing } = backward(model, { seeds: { loss: "loss" }, wrt: ["x", "y", "z"] });
    const secret = { reason: "cut-off", node: "cut", op: "Secret", domain: "of.somebody", problem: expect.any(String) };
    expect([...missing]).toEqual([
      ["x", secret],
      ["y", secret],
    ]);
  });

  test("leaves alone what is above it", () => {
    const { gradients } = backward(model, { seeds: { loss: "loss" }, wrt: ["x", "y", "z"] });
    expect([...gradients.keys()]).toEqual(["z"]);
  });
});

test("a rule that does not cover a node cuts it off as well", () => {
  const model = modelOf([float("x", 2), float("y", 2)], ["loss"], (b) => {
    b.add(node("Einsum", ["x", "y"], "product", { attributes: { equation: { kind: "string", value: "ii,j->j" } } }));
    b.add(node("Mul", ["product", "y"], "scaled"));
    b.add(node("ReduceSum", ["scaled"], "loss", { attributes: { keepdims: { kind: "int", value: 0 } } }));
  });
  const { gradients, missing } = backward(model, { seeds: { loss: "loss" }, wrt: ["x", "product"] });
  expect([...gradients.keys()]).toEqual(["product"]);
  expect(missing.get("x")).toMatchObject({ reason: "cut-off", op: "Einsum" });
});

test("what no derivative reaches is said to be unreachable", () => {
  const model = modelOf([float("x", 2), float("y", 2)], ["loss"], (b) => {
    b.add(node("Floor", ["x"], "steps"));
    b.add(node("Mul", ["steps", "y"], "product"));
    b.add(node("ReduceSum", ["product"], "loss", { attributes: { keepdims: { kind: "int", value: 0 } } }));
  });
  const { missing } = backward(model, { seeds: { loss: "loss" }, wrt: ["x", "y"] });
  expect([...missing]).toEqual([["x", { reason: "unreachable" }]]);
});

test("a loss of several elements, and values that are not there, are refused", () => {
  const model = modelOf([float("x", 2)], ["y"], (b) => b.add(node("Exp", ["x"], "y")));
  expect(() => backward(model, { seeds: { loss: "y" }, wrt: ["x"] })).toThrow(/has shape \[2\] and a loss has one/);
  expect(() => backward(model, { seeds: { loss: "z" }, wrt: ["x"] })).toThrow(/the graph has no such value/);
  expect(() => backward(model, { seeds: { loss: "y" }, wrt: [""] })).toThrow(/the graph has no such value/);
});

test("a row of attention without any key has no gradient, where the model guards it against NaN", () => {
  const model = modelOf([float("x", 2, 2), float("mask", 2, 2), float("u", 2, 2)], ["loss"], (b) => {
    b.add(node("Add", ["x", "mask"], "scores"));
    b.add(node("Softmax", ["scores"], "weights", { attributes: { axis: { kind: "int", value: -1 } } }));
    b.add(node("IsNaN", ["weights"], "none"));
    b.add(node("Where", ["none", b.constant("float64", [0], []), "weights"], "guarded"));
    b.add(node("Mul", ["guarded", "u"], "product"));
    b.add(node("ReduceSum", ["product"], "loss", { attributes: { keepdims: { kind: "int", value: 0 } } }));
  });
  const low = Number.NEGATIVE_INFINITY;
  const feeds = {
    x: dense("float64", [2, 2], [1, 1, 2, 3]),
    mask: dense("float64", [2, 2], [0, 0, low, low]),
    u: dense("float64", [2, 2], [1, 3, 5, 7]),
  };
  expect(gradientsOf(model, ["x"], feeds).x).toEqual([-0.5, 0.5, 0, 0].map((value) => expect.closeTo(value, 12)));
});
