import { describe, expect, test } from "vitest";
import { evaluateGraph } from "../../testing/evaluate/evaluate.js";
import { GraphBuilder } from "../builder.js";
import { dense } from "../elements/dense.js";
import { inferTypes } from "../infer/infer.js";
import type { Model } from "../ir.js";
import { prune } from "../verbs.js";
import { fuse } from "./fuse.js";

type Write = (builder: GraphBuilder, x: string) => string;

/** A function of x [2, 8] as a model. */
function modelOf(write: Write): Model {
  const builder = new GraphBuilder("t");
  const y = write(builder, "x");
  const graph = {
    name: "",
    nodes: builder.nodes,
    inputs: [{ name: "x", type: { dtype: "float32", shape: [2, 8] } as const }],
    outputs: [{ name: y, type: undefined }],
    initializers: builder.initializers,
    types: new Map(),
  };
  return inferTypes({
    irVersion: 10,
    producer: "",
    opsets: new Map([["", 20]]),
    functions: [],
    metadata: new Map(),
    graph,
  });
}

const X = Array.from({ length: 16 }, (_, i) => Math.sin(3 * i) + 0.2);

function run({ graph }: Model): number[] {
  const values = evaluateGraph(graph, new Map([["x", dense("float32", [2, 8], X)]]), 20);
  return Array.from(values.get(graph.outputs[0]!.name)!.data, Number);
}

const vector = (b: GraphBuilder) => b.constant("float32", [1, 2, 3, 4, 5, 6, 7, 8]);
const mean = (b: GraphBuilder, x: string) => b.op("ReduceMean", [x, b.ints(-1)], { keepdims: 1 });

function deviation(b: GraphBuilder, x: string): string {
  const square = b.op("Pow", [x, b.scalar(2)]);
  return b.op("Sqrt", [b.op("Add", [mean(b, square), b.scalar(1e-3)])]);
}

const normalization: Write = (b, x) => {
  const centred = b.op("Sub", [x, mean(b, x)]);
  return b.op("Add", [b.op("Mul", [b.op("Div", [centred, deviation(b, centred)]), vector(b)]), vector(b)]);
};

const shifted = (b: GraphBuilder, scaled: string) => b.op("Add", [b.op("Erf", [scaled]), b.scalar(1)]);

const CASES: readonly (readonly [string, readonly string[], Write])[] = [
  ["layer normalisation", ["LayerNormalization"], normalization],
  [
    "RMS normalisation by a quotient",
    ["SimplifiedLayerNormalization"],
    (b, x) => b.op("Mul", [vector(b), b.op("Div", [x, deviation(b, x)])]),
  ],
  [
    "RMS normalisation by an inverse",
    ["SimplifiedLayerNormalization"],
    (b, x) => b.op("Mul", [b.op("Mul", [x, b.op("Reciprocal", [deviation(b, x)])]), vector(b)]),
  ],
  [
    "GELU, halved last",
    ["Gelu"],
    (b, x) => b.op("Mul", [b.op("Mul", [x, shifted(b, b.op("Div", [x, b.scalar(Math.SQRT2)]))]), b.scalar(0.5)]),
  ],
  [
    "GELU, halved first",
    ["Gelu"],
    (b, x) => b.op("Mul", [b.op("Mul", [b.scalar(0.5), x]), shifted(b, b.op("Mul", [x, b.scalar(Math.SQRT1_2)]))]),
  ],
  [
    "halves of a whole",
    ["Split", "Concat"],
    (b, x) => {
      const [right, left] = [
        [4, 9],
        [0, 4],
      ].map(([from, to]) => b.op("Slice", [x, b.ints(from!), b.ints(to!), b.ints(1)]));
      return b.op("Concat", [right!, left!], { axis: 1 });
    },
  ],
];

describe.each(CASES)("%s", (_, operators, write) => {
  const model = modelOf(write);
  const fused = fuse(model).model;

  test("is one node", () => {
    expect(prune(fused.graph).nodes.map(({ op }) => op)).toEqual(operators);
  });

  test("gives the same", () => {
    for (const [i, value] of run(fused).entries()) expect(value).toBeCloseTo(run(model)[i]!, 5);
  });
});

test("what resembles a pattern stays as it is", () => {
  const overlapping = modelOf((b, x) => {
    const parts = [
      [0, 5],
      [4, 8],
    ].map(([from, to]) => b.op("Slice", [x, b.ints(from!), b.ints(to!), b.ints(1)]));
    return b.op("Concat", parts, { axis: 1 });
  });
  const otherRoot = modelOf((b, x) => b.op("Mul", [vector(b), b.op("Div", [x, deviation(b, b.op("Neg", [x]))])]));
  const otherConstant = modelOf((b, x) =>
    b.op("Mul", [b.op("Mul", [x, shifted(b, b.op("Div", [x, b.scalar(1.5)]))]), b.scalar(0.5)]),
  );
  for (const model of [overlapping, otherRoot, otherConstant])
    expect(fuse(model).model.graph.nodes).toEqual(model.graph.nodes);
});
