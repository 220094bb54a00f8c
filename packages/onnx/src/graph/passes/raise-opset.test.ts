import { describe, expect, test } from "vitest";
import { evaluateGraph } from "../../testing/evaluate/evaluate.js";
import { toAttributes } from "../builder.js";
import { type Dense, dense } from "../elements/dense.js";
import type { Attributes, Model, Tensor } from "../ir.js";
import { raiseOpset } from "./raise-opset.js";

const floats = (name: string, value: readonly number[]): Attributes => ({ [name]: { kind: "floats", value } });

function modelOf(op: string, opset: number, inputs: readonly string[], attributes: Attributes, outputs = ["y"]): Model {
  const node = { name: "n", op, domain: "", inputs, outputs, attributes };
  const initializers = new Map<string, Tensor>();
  const graph = { name: "", nodes: [node], inputs: [], outputs: [], initializers, types: new Map() };
  return { irVersion: 4, producer: "", opsets: new Map([["", opset]]), graph, functions: [], metadata: new Map() };
}

const x = dense(
  "float32",
  [2, 3, 4],
  Array.from({ length: 24 }, (_, i) => Math.sin(i)),
);
const FEEDS = new Map<string, Dense>([["x", x]]);

interface Case {
  readonly op: string;
  readonly opset: number;
  readonly attributes: Attributes;
  readonly outputs?: string[];
}

/** Nodes of older versions, which `graph/evaluate/` knows as they were, and says the same of as they are written anew. */
const CASES: readonly Case[] = [
  { op: "Softmax", opset: 11, attributes: toAttributes({ axis: 1 }) },
  { op: "Softmax", opset: 11, attributes: {} },
  { op: "LogSoftmax", opset: 12, attributes: toAttributes({ axis: -1 }) },
  { op: "Unsqueeze", opset: 12, attributes: toAttributes({ axes: [0, 2] }) },
  { op: "ReduceSum", opset: 11, attributes: toAttributes({ axes: [1], keepdims: 0 }) },
  { op: "ReduceSum", opset: 11, attributes: {} },
  { op: "ReduceMean", opset: 13, attributes: toAttributes({ axes: [-1] }) },
  { op: "ReduceMax", opset: 17, attributes: toAttributes({ axes: [0, 1], keepdims: 0 }) },
  { op: "Split", opset: 12, attributes: toAttributes({ axis: 2, split: [1, 3] }), outputs: ["y", "z"] },
  { op: "Split", opset: 13, attributes: toAttributes({ axis: 2 }), outputs: ["y", "z"] },
  { op: "Slice", opset: 9, attributes: toAttributes({ starts: [1], ends: [3], axes: [2] }) },
  { op: "Slice", opset: 7, attributes: toAttributes({ starts: [0, -2], ends: [1, 9] }) },
  { op: "Clip", opset: 7, attributes: { min: { kind: "float", value: -0.5 } } },
  { op: "Clip", opset: 10, attributes: { min: { kind: "float", value: -0.5 }, max: { kind: "float", value: 0.25 } } },
  { op: "Pad", opset: 10, attributes: toAttributes({ pads: [0, 1, 0, 0, 0, 2] }) },
];

describe("what is raised gives what it gave", () => {
  test.each(CASES)("$op of opset $opset", ({ op, opset, attributes, outputs }) => {
    const model = modelOf(op, opset, ["x"], attributes, outputs);
    const raised = raiseOpset(model);
    const before = evaluateGraph(model.graph, FEEDS, opset);
    const after = evaluateGraph(raised.graph, FEEDS, raised.opsets.get("")!);
    for (const output of outputs ?? ["y"]) expect(after.get(output)).toEqual(before.get(output));
  });
});

test("operators that were renamed have their new names, with what was meant before as attributes", () => {
  const raised = raiseOpset(
    modelOf("Upsample", 8, ["x"], { ...toAttributes({ mode: "nearest" }), ...floats("scales", [1, 1, 2]) }),
  );
  const [node] = raised.graph.nodes;
  expect(node).toMatchObject({ op: "Resize", inputs: ["x", "", expect.any(String)] });
  expect(node!.attributes).toMatchObject(
    toAttributes({ coordinate_transformation_mode: "asymmetric", mode: "nearest" }),
  );
  const [top] = raiseOpset(modelOf("TopK", 9, ["x"], toAttributes({ k: 2, axis: 2 }))).graph.nodes;
  expect(top).toMatchObject({ inputs: ["x", expect.any(String)], attributes: toAttributes({ axis: 2 }) });
  const padded = { ...toAttributes({ pads: [1, 1] }), value: { kind: "float", value: 7 } as const };
  const [pad] = raiseOpset(modelOf("Pad", 10, ["x"], padded)).graph.nodes;
  expect(pad).toMatchObject({ inputs: ["x", expect.any(String), expect.any(String)], attributes: {} });
  expect(raiseOpset(modelOf("Scatter", 9, ["x", "i", "u"], {})).graph.nodes[0]!.op).toBe("ScatterElements");
  expect(
    raiseOpset(modelOf("Dropout", 10, ["x"], { ratio: { kind: "float", value: 0.1 } })).graph.nodes[0]!.attributes,
  ).toEqual({});
});

test("a model that is new enough is left as it is, and one that is too old is refused", () => {
  const model = { ...modelOf("Exp", 22, ["x"], {}), irVersion: 10 };
  expect(raiseOpset(model)).toBe(model);
  expect(() => raiseOpset(modelOf("Exp", 6, ["x"], {}))).toThrow(/older than 7/);
});
