import { existsSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { env, InferenceSession, Tensor } from "onnxruntime-web";
import { describe, expect, test } from "vitest";
import { operationOf, termsOf } from "./dim.js";
import { inferTypes } from "./infer/infer.js";
import type { Dim, Model } from "./ir.js";
import { simplify } from "./passes/simplify.js";
import { readModelFile } from "./serde/node.js";
import { encodeModel } from "./serde/write.js";

// Real exports, which are not part of this repository: in the folder ONNX_MODELS, as CI sets it, or beside the repository.
const { ONNX_MODELS } = process.env;
const folder = ONNX_MODELS
  ? pathToFileURL(`${ONNX_MODELS}/`)
  : new URL("../../../../../shared/models/", import.meta.url);
const areHere = ONNX_MODELS !== undefined || existsSync(folder);

env.wasm.numThreads = 1;

const MODELS = [
  "minilm",
  "tiny-llama/optimum",
  "tiny-llama/optimum-with-past",
  "tiny-llama/genai-fp32",
  "tiny-llama/genai-int4",
] as const;

function pathOf(name: string): string {
  return new URL(`${name}/model.onnx`, folder).pathname;
}

/** Symbols of a model's inputs, and a size for each. */
function symbolsOf(model: Model, rows: number, length: number, past: number): Map<string, number> {
  const symbols = new Map<string, number>();
  for (const dim of model.graph.inputs.flatMap(({ type }) => type?.shape ?? [])) {
    if (typeof dim !== "string" || / \+ /.test(dim)) continue;
    const size = /past/.test(dim)
      ? past
      : /total/.test(dim)
        ? past + length
        : /kv_cache/.test(dim)
          ? 16
          : /batch/.test(dim)
            ? rows
            : length;
    symbols.set(dim, size);
  }
  return symbols;
}

function sizeOf(dim: Dim, symbols: ReadonlyMap<string, number>): number {
  if (typeof dim === "number") return dim;
  return termsOf(dim).reduce(
    (sum, { coefficient, atoms }) =>
      sum + atoms.reduce((product, atom) => product * sizeOfAtom(atom, symbols), coefficient),
    0,
  );
}

function sizeOfAtom(atom: string, symbols: ReadonlyMap<string, number>): number {
  const operation = operationOf(atom);
  if (operation === undefined) return symbols.get(atom) ?? Number.NaN;
  const [a, b] = operation.operands.map((operand) => sizeOf(operand, symbols));
  return operation.name === "max" ? Math.max(a!, b!) : operation.name === "min" ? Math.min(a!, b!) : Number.NaN;
}

function feedsOf(model: Model, symbols: ReadonlyMap<string, number>): Record<string, Tensor> {
  return Object.fromEntries(
    model.graph.inputs.map(({ name, type }) => {
      const dims = type!.shape!.map((dim) => sizeOf(dim, symbols));
      const length = dims.reduce((product, size) => product * size, 1);
      const value = (index: number) =>
        name === "input_ids"
          ? (index * 37) % 250
          : /mask/.test(name)
            ? 1
            : /position/.test(name)
              ? index % dims[1]!
              : 0;
      if (type!.dtype === "float32")
        return [
          name,
          new Tensor(
            "float32",
            Float32Array.from({ length }, (_, index) => Math.sin(index)),
            dims,
          ),
        ];
      return [
        name,
        new Tensor(
          "int64",
          BigInt64Array.from({ length }, (_, index) => BigInt(value(index))),
          dims,
        ),
      ];
    }),
  );
}

function sessionOf(name: string, model: Model): Promise<InferenceSession> {
  const path = pathOf(name);
  const files = ["model.onnx", "model.onnx.data"].filter((file) => existsSync(path.replace("model.onnx", file)));
  const externalData = files.map((file) => ({ path: file, data: readFileSync(path.replace("model.onnx", file)) }));
  return InferenceSession.create(encodeModel(model, { self: "model.onnx" }), { externalData });
}

describe.runIf(areHere).each(MODELS)("%s", (name) => {
  test("simplified, it gives the same, in the shapes that were inferred", async () => {
    const model = inferTypes(readModelFile(pathOf(name)));
    const simple = simplify(model);
    const sessions = [await sessionOf(name, model), await sessionOf(name, simple)];
    for (const [rows, length, past] of [
      [2, 5, 3],
      [1, 9, 4],
    ] as const) {
      const isGenai = name.includes("genai");
      const symbols = symbolsOf(model, rows, isGenai ? 1 : length, past);
      const feeds = feedsOf(model, symbols);
      const [expected, actual] = [await sessions[0]!.run(feeds), await sessions[1]!.run(feeds)];
      for (const { name: output, type } of simple.graph.outputs) {
        expect(type?.shape?.map((dim) => sizeOf(dim, symbols))).toEqual(expected[output]!.dims);
        const [before, after] = [expected[output]!.data as Float32Array, actual[output]!.data as Float32Array];
        expect(
          after.every((value, index) => Math.abs(value - before[index]!) <= 1e-5 * (1 + Math.abs(before[index]!))),
        ).toBe(true);
      }
    }
    for (const session of sessions) await session.release();
  });
});
