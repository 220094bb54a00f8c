import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import {
  baseModelFromGguf,
  FILE_FORMATS,
  fitToModel,
  fromMicroLora,
  targetNames,
  toMicroLora,
} from "@microlora/formats";
import { type LoraModel, type Ort, openModel } from "@microlora/onnx/node";
import { MicroLora } from "microlora";
import * as web from "onnxruntime-web";
import { describe, expect, test } from "vitest";

web.env.wasm.numThreads = 1;
const ort: Ort = web;
const path = (name: string) => fileURLToPath(new URL(`../../../onnx/${name}`, import.meta.url));

interface Probabilities {
  /** Of the tokens, so many. */
  readonly count: number;
  readonly plain: string;
  readonly adapted: string;
}

/** Probabilities of the token after the last one, by llama.cpp; see packages/onnx/goldens/gguf_llama_cpp.py. */
interface Golden {
  readonly tokens: readonly number[];
  readonly models: Readonly<Record<string, Probabilities>>;
}

const golden: Golden = JSON.parse(await readFile(path("goldens/gguf/llama-cpp.json"), "utf8"));

async function probabilities(model: LoraModel, adapters: MicroLora | null, count: number): Promise<Float64Array> {
  const tokens = golden.tokens.slice(0, count);
  const input_ids = { type: "int64", dims: [1, count], data: BigInt64Array.from(tokens, BigInt) };
  const { logits } = await model.run(model.complete({ input_ids }), { adapters });
  const scores = (logits!.data as Float32Array).slice(-logits!.dims[2]!);
  const largest = Math.max(...scores);
  const powers = Float64Array.from(scores, (score) => Math.exp(score - largest));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

function expectNear(actual: Float64Array, expected: string): void {
  const wanted = new Float32Array(new Uint8Array(Buffer.from(expected, "base64")).buffer);
  expect(actual.length).toBe(wanted.length);
  expect(actual.reduce((most, value, i) => Math.max(most, Math.abs(value - wanted[i]!)), 0)).toBeLessThan(2e-4);
}

describe("GGUF models and GGUF adapters beside llama.cpp, by the same names", () => {
  test.each(Object.keys(golden.models))("%s: next-token probabilities, and the adapter back", async (name) => {
    const file = path(`fixtures/gguf/${name}.gguf`);
    const lora = FILE_FORMATS.gguf.decode(await readFile(path(`fixtures/gguf/${name}.lora.gguf`)));
    await using model = await openModel(file, {
      ort,
      targets: targetNames(lora),
      gguf: { weights: "blocks", activations: "float32" },
    });
    using adapter = await MicroLora.fromState(toMicroLora(fitToModel(lora, model)));
    const { count, plain, adapted } = golden.models[name]!;
    expectNear(await probabilities(model, null, count), plain);
    expectNear(await probabilities(model, adapter, count), adapted);

    const base = baseModelFromGguf(await readFile(file));
    const back = FILE_FORMATS.gguf.decode(FILE_FORMATS.gguf.encode(fromMicroLora(adapter.exportState()), { base }));
    expect(back.targets).toEqual(lora.targets);
  });
});
