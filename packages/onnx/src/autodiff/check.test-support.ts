import * as ort from "onnxruntime-web";
import { expect } from "vitest";
import { toAttributes } from "../graph/builder.js";
import { type Dense, dense, toTensor } from "../graph/elements/dense.js";
import type { DType, Model, Shape, Tensor, TensorType } from "../graph/ir.js";
import { encodeModel } from "../graph/serde/write.js";
import { type Backward, backward } from "./backward.js";
import { evaluate } from "./oracle.test-support.js";
import { type Given, type Ruled, SAMPLES, type Sample, type Variable } from "./samples.test-support.js";

export const NAMED_SAMPLES = (Object.keys(SAMPLES) as Ruled[]).flatMap((op) =>
  SAMPLES[op].map((sample, i) => ({ name: `${op} ${i}`, op, sample })),
);

/** What inference is said to have found: every size, a name for every size, or no shape. */
export type Known = "sizes" | "symbols" | "nothing";

const isVariable = (input: Variable | Given | null): input is Variable => input?.kind === "variable";
const nameOf = (i: number) => `x${i}`;

/** Numbers that differ from run to run of the generator and not from run to run of the tests. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

function randomOf({ dims, from, to, corners }: Variable, dtype: DType, random: () => number): Dense {
  const count = dims.reduce((product, dim) => product * dim, 1);
  const draw = (): number => {
    const value = Math.fround(from + (to - from) * random());
    return corners.some((corner) => Math.abs(value - corner) < 0.05) ? draw() : value;
  };
  return dense(dtype, dims, Array.from({ length: count }, draw));
}

/** A model of the one node, with its variables and fed values as inputs, and the gradient of each output as another. */
interface Case {
  readonly model: Model;
  readonly feeds: ReadonlyMap<string, Dense>;
  readonly variables: readonly string[];
  readonly outputs: readonly string[];
}

function caseOf(
  op: Ruled,
  sample: Sample,
  dtype: "float32" | "float64",
  known: Known,
  rounds = !sample.straightThrough,
): Case {
  const random = generator(7);
  const feeds = new Map<string, Dense>();
  const initializers = new Map<string, Tensor>();
  for (const [i, input] of sample.inputs.entries()) {
    if (input === null) continue;
    const isFloat = isVariable(input) || input.dtype === "float32";
    const value = isVariable(input)
      ? randomOf(input, dtype, random)
      : dense(isFloat ? dtype : input.dtype, input.dims, input.values);
    if (input.kind === "constant") initializers.set(nameOf(i), toTensor(value)!);
    else feeds.set(nameOf(i), value);
  }
  const outputs = Array.from({ length: sample.outputs }, (_, i) => `y${i}`);
  const inputs = sample.inputs.map((input, i) => (input === null ? "" : nameOf(i)));
  const attributes = toAttributes(sample.attributes);
  const cast = op === "Cast" && dtype === "float64" ? toAttributes({ to: 11 }) : attributes;
  const node = { name: op, op, domain: "", inputs, outputs, attributes: cast };
  const bare = graphOf(node, initializers);
  const values = evaluate(bare, feeds, rounds);
  const variables = sample.inputs.flatMap((input, i) => (isVariable(input) ? [nameOf(i)] : []));
  const seeds = outputs.filter(
    (output, i) => i === 0 || !(sample.straightThrough || values.get(output)!.dtype === "int64"),
  );
  for (const output of seeds) feeds.set(`seed ${output}`, seedOf(values.get(output)!, dtype, random));

  const typeOf = (name: string): TensorType => {
    const value = (feeds.get(name) ?? values.get(name))!;
    return { dtype: value.dtype, shape: shapeOf(value, known) };
  };
  const graph = {
    ...bare,
    inputs: [...feeds.keys()].map((name) => ({ name, type: typeOf(name) })),
    outputs: outputs.map((name) => ({ name, type: typeOf(name) })),
    types: new Map([...feeds.keys(), ...outputs].map((name) => [name, typeOf(name)])),
  };
  return { model: { ...EMPTY, graph }, feeds, variables, outputs: seeds };
}

function seedOf({ dims, data }: Dense, dtype: DType, random: () => number): Dense {
  return dense(
    dtype,
    dims,
    data.map(() => random() * 2 - 1),
  );
}

function shapeOf({ dims }: Dense, known: Known): Shape | undefined {
  if (known === "sizes") return dims;
  return known === "symbols" ? dims.map((dim) => `size${dim}`) : undefined;
}

/** Of opset 23, which has every operator that onnxruntime has a kernel for. */
const EMPTY = { irVersion: 10, producer: "", opsets: new Map([["", 23]]), functions: [], metadata: new Map() } as const;

function graphOf(node: Model["graph"]["nodes"][number], initializers: ReadonlyMap<string, Tensor>): Model["graph"] {
  return { name: "", nodes: [node], inputs: [], outputs: [], initializers, types: new Map() };
}

function derive({ model, variables, outputs }: Case): Backward {
  return backward(model, { wrt: variables, seeds: new Map(outputs.map((output) => [output, `seed ${output}`])) });
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0);
}

/** <v, J^T u> = <J v, u> for a random direction v in each variable: the first by the rule, the second by differences. */
export function checkRule(op: Ruled, sample: Sample, known: Known): void {
  const whole = caseOf(op, sample, "float64", known);
  const { gradients, missing, model } = derive(whole);
  if (known === "nothing" && sample.needsRank && missing.size > 0) {
    for (const reason of missing.values()) expect(reason).toMatchObject({ reason: "cut-off", op });
    return;
  }
  expect([...missing]).toEqual([]);
  const values = evaluate(model.graph, whole.feeds, !sample.straightThrough);
  const random = generator(11);
  for (const variable of whole.variables) {
    const gradient = values.get(gradients.get(variable)!)!;
    const at = whole.feeds.get(variable)!;
    expect([variable, ...gradient.dims]).toEqual([variable, ...at.dims]);
    const direction = at.data.map(() => random() * 2 - 1);
    const seen = dot(direction, gradient.data);
    const expected = difference(whole, variable, direction, !sample.straightThrough);
    expect(Math.abs(seen - expected), `${known}: ${variable}, ${seen} and not ${expected}`).toBeLessThan(
      1e-6 * (1 + Math.abs(expected)),
    );
  }
}

/** d/dh <u, f(x + h v)> by central differences. */
function difference(
  { model, feeds, outputs }: Case,
  variable: string,
  direction: Float64Array,
  rounds: boolean,
): number {
  const step = 1e-5;
  const valueAt = (h: number): number => {
    const at = feeds.get(variable)!;
    const moved = dense(
      at.dtype,
      at.dims,
      at.data.map((value, i) => value + h * direction[i]!),
    );
    const values = evaluate(model.graph, new Map([...feeds, [variable, moved]]), rounds);
    return outputs.reduce((sum, output) => sum + dot(values.get(output)!.data, feeds.get(`seed ${output}`)!.data), 0);
  };
  return (valueAt(step) - valueAt(-step)) / (2 * step);
}

/** The largest difference between onnxruntime's float32 gradients and those of the oracle, over the largest gradient. */
export async function checkOnRuntime(op: Ruled, sample: Sample): Promise<number> {
  const exact = caseOf(op, sample, "float64", "sizes", true);
  const plain = derive(exact);
  const expected = evaluate(plain.model.graph, exact.feeds);
  let worst = 0;
  for (const known of ["sizes", "nothing"] as const) {
    const single = caseOf(op, sample, "float32", known, true);
    const { model, gradients } = derive(single);
    if (gradients.size === 0) continue;
    const seen = await runOnRuntime(model, single.feeds, [...gradients.values()]);
    for (const [variable, name] of gradients) {
      const reference = expected.get(plain.gradients.get(variable)!)!;
      const actual = seen[name]!;
      expect([...actual.dims]).toEqual([...reference.dims]);
      const scale = reference.data.reduce((top, value) => Math.max(top, Math.abs(value)), 1e-3);
      for (const [i, value] of reference.data.entries()) {
        worst = Math.max(worst, Math.abs(value - Number((actual.data as Float32Array)[i])) / scale);
      }
    }
  }
  return worst;
}

ort.env.wasm.numThreads = 1;
ort.env.logLevel = "error";

async function runOnRuntime(
  model: Model,
  feeds: ReadonlyMap<string, Dense>,
  fetches: readonly string[],
): Promise<ort.InferenceSession.ReturnType> {
  const session = await ort.InferenceSession.create(encodeModel(model), { logSeverityLevel: 3 });
  try {
    const used = [...feeds].filter(([name]) => session.inputNames.includes(name));
    return await session.run(Object.fromEntries(used.map(([name, value]) => [name, ortTensor(value)])), fetches);
  } finally {
    await session.release();
  }
}

function ortTensor({ dtype, dims, data }: Dense): ort.Tensor {
  if (dtype === "int64") return new ort.Tensor("int64", BigInt64Array.from(data, BigInt), dims);
  if (dtype === "float64") return new ort.Tensor("float64", data, dims);
  return new ort.Tensor("float32", Float32Array.from(data), dims);
}
