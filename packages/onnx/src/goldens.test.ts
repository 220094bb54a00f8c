import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { MicroLora } from "microlora";
import { describe, expect, test } from "vitest";
import { floats, type HostTensor, ints } from "./base/host-tensor.js";
import { cosine, type Loss, type ModelBytes, tokenNll } from "./index.js";
import type { LoraModel } from "./session/lora-model.js";
import { web } from "./session/models.test-support.js";
import { openModel } from "./session/node.js";

/** The folder of the models that `goldens/make.py` read; `.ci/run` sets it. Without it only committed models can be run. */
const MODELS = process.env.ONNX_MODELS;
const FIXTURES = join(import.meta.dirname, "../fixtures");

interface Golden {
  readonly rows: number;
  readonly rank: number;
  /** Tokens whose keys and values come in from before. */
  readonly past?: number;
  readonly input_ids: number[][];
  readonly attention_mask?: number[][];
  /** Of an encoder, whose hidden states come in. */
  readonly encoder_attention_mask?: number[][];
  readonly position_ids?: number[][];
  readonly labels?: number[][];
  /** Left row, right row, and the cosine that they should have. */
  readonly cosines?: readonly (readonly [number, number, number])[];
  readonly loss: number;
  readonly gradients: Readonly<Record<string, { readonly loraA: string; readonly loraB: string }>>;
  /** The largest error of PyTorch itself in float32; ours may be twice that. */
  readonly float32_error?: number;
}

type Naming = (module: string) => string;
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
  const golden: Golden = JSON.parse(readFileSync(join(import.meta.dirname, `../goldens/${name}.json`), "utf8"));
  await using model = await openModel(source, {
    ort: web,
    targets: (module) => Object.hasOwn(golden.gradients, nameOf(module.name)),
  });
  expect(model.modules.length).toBe(Object.keys(golden.gradients).length);
  const adapters = await Promise.all(
    Array.from({ length: golden.rows }, (_, row) => adapterOf(model, golden.rank, row, nameOf)),
  );
  const { loss, gradients } = await model.gradients(
    { feeds: feedsOf(model, golden), loss: lossOf(golden) },
    { adapters },
  );
  expect(Math.abs(loss - golden.loss)).toBeLessThan(1e-5 * Math.max(1, golden.loss));
  const limit = golden.float32_error === undefined ? 1e-5 : 2 * golden.float32_error;
  for (const { name: module } of model.modules) {
    const expected = golden.gradients[nameOf(module)]!;
    for (const part of ["loraA", "loraB"] as const) {
      const whole = floatsOf(expected[part]);
      const actual = adapters.flatMap((adapter) => [...gradients.get(adapter)!.get(module)![part]]);
      expect(actual.length).toBe(whole.length);
      const largest = Math.max(...whole.map(Math.abs));
      const worst = Math.max(...whole.map((value, i) => Math.abs(value - actual[i]!)));
      expect(worst / largest, `${module} ${part}`).toBeLessThan(limit);
    }
  }
}

function feedsOf(model: LoraModel, golden: Golden): Record<string, HostTensor> {
  const { rows, past = 0 } = golden;
  const matrix = (values: number[][]) => ints(values.flat(), [rows, values[0]!.length]);
  const cache = model.inputs
    .filter(({ name }) => past > 0 && name.startsWith("past_key_values"))
    .map(({ name, type }) => {
      const [, heads, , width] = type!.shape as readonly [unknown, number, unknown, number];
      const parts = Array.from({ length: rows }, (_, row) => [...weights(name, row, heads * past * width, 2)]);
      return [name, floats(parts.flat(), [rows, heads, past, width])] as const;
    });
  const hidden = (mask: number[][], name = "encoder_hidden_states") => {
    const width = Number(model.inputs.find((input) => input.name === name)!.type!.shape![2]);
    const length = mask[0]!.length;
    const parts = mask.map((_, row) => [...weights(name, row, length * width, 2)]);
    return { encoder_attention_mask: matrix(mask), [name]: floats(parts.flat(), [rows, length, width]) };
  };
  return model.complete({
    input_ids: matrix(golden.input_ids),
    ...(golden.attention_mask && { attention_mask: matrix(golden.attention_mask) }),
    ...(golden.encoder_attention_mask && hidden(golden.encoder_attention_mask)),
    ...(golden.position_ids && { position_ids: matrix(golden.position_ids) }),
    ...Object.fromEntries(cache),
  });
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

async function adapterOf(model: LoraModel, rank: number, row: number, nameOf: Naming): Promise<MicroLora> {
  const adapter = await model.createAdapter({ rank, alpha: rank });
  for (const { name } of model.modules) {
    const { loraA, loraB } = adapter.getAdapter(name)!;
    loraA.set(weights(`${nameOf(name)}.A`, row, loraA.length, 0.5));
    loraB.set(weights(`${nameOf(name)}.B`, row, loraB.length, 0.5));
  }
  return adapter;
}

/** As `weights` of goldens/make.py. */
function weights(name: string, row: number, length: number, scale: number): Float32Array {
  let state = 2_166_136_261;
  for (const byte of new TextEncoder().encode(`${name} ${row}`)) state = Math.imul(state ^ byte, 16_777_619) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state / 2 ** 32 - 0.5) * scale;
  });
}

function floatsOf(text: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(text, "base64")).buffer);
}
