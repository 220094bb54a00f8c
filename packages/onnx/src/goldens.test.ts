import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { cosine, type Loss, type ModelBytes, tokenNll } from "./index.js";
import { openModel } from "./model/node.js";
import {
  adapterOf,
  compareGradients,
  feedsOf,
  type Golden,
  type Naming,
  readGolden,
} from "./testing/goldens.test-support.js";
import { web } from "./testing/models.test-support.js";

/** The folder of the models that `goldens/make.py` read; `.ci/run` sets it. Without it only committed models can be run. */
const MODELS = process.env.ONNX_MODELS;
const FIXTURES = join(import.meta.dirname, "../fixtures");

const asIs: Naming = (module) => module;
const asGenai: Naming = (module) => module.replace(".attn.", ".self_attn.");

/** Golden, model, and how PyTorch calls a module of it. */
const CASES: readonly (readonly [string, string, Naming])[] = [
  ["minilm", "minilm", (module) => module.replace(/^m\./, "")],
  ["llama-right", "tiny-llama/optimum", asIs],
  ["llama-left", "tiny-llama/optimum", asIs],
  ["llama-right", "tiny-llama/optimum-with-past", asIs],
  ["llama-left", "tiny-llama/optimum-with-past", asIs],
  ["llama-past", "tiny-llama/optimum-with-past", asIs],
  ["llama-right", "tiny-llama/genai-fp32", asGenai],
  ["llama-embedding", "tiny-llama/optimum", asIs],
  ["llama-embedding", "tiny-llama/genai-fp32", asGenai],
  ["llama-int4", "tiny-llama/genai-int4", asGenai],
];

/** The same of merged decoders, which are committed. */
const MERGED: readonly (readonly [string, string])[] = [
  ["llama-merged", "llama-merged"],
  ["llama-merged-past", "llama-merged"],
  ["t5-merged", "t5-merged"],
];
const unwrapped: Naming = (module) => module.replace(/^model\./, "");

describe("gradients of whole models by PyTorch in float64, an adapter for each row", () => {
  test("bert-qdq on the committed model", async () => {
    const bytes = readFileSync(join(FIXTURES, "bert-qdq/model.onnx"));
    await compare("bert-qdq", { model: bytes }, unwrapped);
  });

  test.each(MERGED)("%s on the committed model", async (name, folder) => {
    const bytes = readFileSync(join(FIXTURES, folder, "decoder_model_merged.onnx"));
    await compare(name, { model: bytes }, unwrapped);
  });

  test.skipIf(MODELS === undefined).each(CASES)("%s on %s", (name, folder, nameOf) =>
    compare(name, modelIn(folder), nameOf),
  );
});

/** Loss and gradients of a golden by the model. */
async function compare(name: string, source: ModelBytes, nameOf: Naming): Promise<void> {
  const golden = readGolden<Golden>(name);
  await using model = await openModel(source, {
    ort: web,
    targets: (module) => Object.hasOwn(golden.gradients, nameOf(module.name)),
  });
  expect(model.modules.length).toBe(Object.keys(golden.gradients).length);
  const adapters = await Promise.all(
    Array.from({ length: golden.rows }, (_, row) => adapterOf(model, golden.rank, row, nameOf)),
  );
  const result = await model.gradients({ feeds: feedsOf(model, golden), loss: lossOf(golden) }, { adapters });
  expect(Math.abs(result.loss - golden.loss)).toBeLessThan(1e-5 * Math.max(1, golden.loss));
  const limit = golden.float32_error === undefined ? 1e-5 : 2 * golden.float32_error;
  compareGradients(model, golden, adapters, result, nameOf, limit);
}

function lossOf({ labels, cosines = [] }: Golden): Loss {
  if (labels !== undefined) return tokenNll({ labels });
  const column = (at: 0 | 1 | 2) => cosines.map((row) => row[at]);
  return cosine({ left: column(0), right: column(1), targets: column(2) });
}

/** A model of the folder in memory, as onnxruntime-web takes it. */
function modelIn(folder: string): ModelBytes {
  const path = join(MODELS!, folder, "model.onnx");
  const externalData = folder.includes("genai") ? { "model.onnx.data": readFileSync(`${path}.data`) } : {};
  return { model: readFileSync(path), externalData };
}
