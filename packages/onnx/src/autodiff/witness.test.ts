import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import * as ort from "onnxruntime-web";
import { expect, test } from "vitest";
import type { Model, TensorData } from "../graph/ir.js";
import { readModel } from "../graph/serde/read.js";
import { encodeModel } from "../graph/serde/write.js";
import { type Backward, backward } from "./backward.js";

/*
 * Fused operators in all their forms and whole exports, on onnxruntime-web, against PyTorch's autograd in float64.
 * `witness/gradients.py` writes the cases: BERT, GPT-2, Llama, T5; plain, fused, float16, quantised.
 */

interface Packed {
  readonly dtype: string;
  readonly dims: readonly number[];
  readonly data: string;
}

interface Case {
  readonly name: string;
  /** The model in base64, or its file among the fixtures. */
  readonly bytes?: string;
  readonly file?: string;
  readonly inputs: Readonly<Record<string, Packed>>;
  readonly output: string;
  readonly seed: Packed;
  readonly expected: Packed;
  readonly gradients: Readonly<Record<string, Packed>>;
}

const FIXTURES = new URL("../../fixtures/", import.meta.url);
const [, ...lines] = gunzipSync(readFileSync(new URL("gradients.jsonl.gz", FIXTURES)))
  .toString()
  .trim()
  .split("\n");
const CASES = lines.map((line) => JSON.parse(line) as Case);

ort.env.wasm.numThreads = 1;

const ARRAYS: { readonly [dtype: string]: (buffer: ArrayBuffer) => ort.Tensor.DataType } = {
  float32: (buffer) => new Float32Array(buffer),
  int64: (buffer) => new BigInt64Array(buffer),
  int32: (buffer) => new Int32Array(buffer),
  bool: (buffer) => new Uint8Array(buffer),
};

function unpack({ dtype, data, dims }: Packed): ort.Tensor {
  const bytes = Uint8Array.from(Buffer.from(data, "base64"));
  return new ort.Tensor(dtype as ort.Tensor.Type, ARRAYS[dtype]!(bytes.buffer), dims);
}

function modelOf({ bytes, file }: Case): Model {
  return readModel(bytes ? Buffer.from(bytes, "base64") : readFileSync(new URL(file!, FIXTURES)));
}

/** The model with an input for the gradient of its output, and what it derives from that. */
function derive(model: Model, { output, gradients }: Case): Backward {
  const seed = { name: "seed", type: { dtype: "float32", shape: undefined } } as const;
  const seeded = { ...model, graph: { ...model.graph, inputs: [...model.graph.inputs, seed] } };
  return backward(seeded, { wrt: Object.keys(gradients), seeds: new Map([[output, "seed"]]) });
}

async function run(model: Model, each: Case, fetches: readonly string[]): Promise<ort.InferenceSession.ReturnType> {
  const folder = each.file ? new URL(".", new URL(each.file, FIXTURES)) : undefined;
  const locations = new Set([...model.graph.initializers.values()].flatMap(({ data }) => locationOf(data)));
  const externalData = [...locations].map((path) => ({ path, data: readFileSync(new URL(path, folder)) }));
  const session = await ort.InferenceSession.create(encodeModel(model), { logSeverityLevel: 3, externalData });
  try {
    const all = { ...each.inputs, seed: each.seed };
    const used = Object.entries(all).filter(([name]) => session.inputNames.includes(name));
    return await session.run(Object.fromEntries(used.map(([name, value]) => [name, unpack(value)])), fetches);
  } finally {
    await session.release();
  }
}

function locationOf(data: TensorData): readonly string[] {
  return data.kind === "external" ? [data.location] : [];
}

/** The largest difference over the largest expected value. */
function errorOf(actual: ort.Tensor, expected: Packed): number {
  expect([...actual.dims]).toEqual(expected.dims);
  const wanted = unpack(expected).data as Float32Array;
  const seen = actual.data as Float32Array;
  const scale = wanted.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
  const worst = wanted.reduce((top, value, i) => Math.max(top, Math.abs(value - seen[i]!)), 0);
  return worst === 0 ? 0 : worst / scale;
}

test.each(CASES)("$name: gradients as PyTorch has them", async (each) => {
  const { model, gradients, missing } = derive(modelOf(each), each);
  expect([...missing]).toEqual([]);
  const results = await run(model, each, [each.output, ...gradients.values()]);
  expect(errorOf(results[each.output]!, each.expected)).toBeLessThan(1e-5);
  for (const [value, name] of gradients) {
    expect([value, errorOf(results[name]!, each.gradients[value]!) < 1e-5]).toEqual([value, true]);
  }
});
