import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { isIntegral } from "../dtype.js";
import { toTensor } from "../elements/dense.js";
import type { Dim, DType, Graph, Tensor } from "../ir.js";
import { readModel } from "../serde/read.js";
import { inferGraph } from "./infer.js";

interface Value {
  readonly dtype: DType;
  readonly dims: readonly number[];
  readonly data: readonly (number | string)[] | null;
}

interface Case {
  readonly name: string;
  readonly model: string;
  readonly inputs: Readonly<Record<string, Value>>;
  readonly outputs: Readonly<Record<string, Value>>;
}

/** Made by fixtures/shapes.py of ONNX's own tests. */
const CASES: readonly Case[] = gunzipSync(readFileSync(new URL("../../../fixtures/shapes.jsonl.gz", import.meta.url)))
  .toString()
  .trimEnd()
  .split("\n")
  .slice(1)
  .map((line) => JSON.parse(line));

/** Tests of values that NumPy has no element type for, of training and preview operators, and of Scan as opset 8 had it. */
const UNTOLD =
  /^(cast_.*(FLOAT|DOUBLE)|(de)?quantizelinear_(e4m3fn|e5m2|u?int4)|flexattention|scan_sum$|adagrad|adam|momentum|nesterov)/;

function constantOf({ dtype, dims, data }: Value): Tensor | undefined {
  const numbers = data?.map((each) => Number(String(each).replace("inf", "Infinity")));
  return numbers && toTensor({ dtype, dims, data: Float64Array.from(numbers) });
}

/** The graph with inputs of these sizes, integers and scales among them as constants. */
function graphOf({ model, inputs }: Case): { graph: Graph; opsets: ReadonlyMap<string, number> } {
  const read = readModel(Buffer.from(model, "base64"));
  const initializers = new Map(read.graph.initializers);
  const fed = read.graph.inputs.flatMap(({ name }, index) => {
    const value = inputs[name]!;
    const constant = index > 0 && (isIntegral(value.dtype) || /scale|ratio/.test(name)) ? constantOf(value) : undefined;
    if (constant !== undefined) initializers.set(name, constant);
    return constant === undefined ? [{ name, type: { dtype: value.dtype, shape: value.dims } }] : [];
  });
  return { graph: { ...read.graph, inputs: fed, initializers, types: new Map() }, opsets: read.opsets };
}

test("there are cases of most standard operators", () => {
  const ops = new Set(CASES.map((each) => graphOf(each).graph.nodes[0]!.op));
  expect(ops.size).toBeGreaterThan(150);
});

test.each(CASES.filter(({ name }) => !UNTOLD.test(name)))("$name: types are what ONNX's own test has", (given) => {
  const { graph, opsets } = graphOf(given);
  const { types } = inferGraph(graph, opsets).graph;
  for (const [name, { dtype, dims }] of Object.entries(given.outputs)) {
    const type = types.get(name);
    expect([name, type?.dtype]).toEqual([name, dtype]);
    expect([name, type?.shape?.length]).toEqual([name, dims.length]);
    const told = type!.shape!.map((dim: Dim, axis) => (typeof dim === "number" ? dim : dims[axis]!));
    expect([name, ...told]).toEqual([name, ...dims]);
  }
});
