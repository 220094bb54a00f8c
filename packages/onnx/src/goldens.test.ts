import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { MicroLora } from "microlora";
import { describe, expect, test } from "vitest";
import { ints } from "./base/host-tensor.js";
import { cosine, type Loss, tokenNll } from "./index.js";
import type { LoraModel } from "./session/lora-model.js";
import { web } from "./session/models.test-support.js";
import { openModel } from "./session/node.js";

/** The folder of the models that `goldens/make.py` read; `.ci/run` sets it. Without it these tests cannot run. */
const MODELS = process.env.ONNX_MODELS;

interface Golden {
  readonly rows: number;
  readonly rank: number;
  readonly input_ids: number[][];
  readonly attention_mask: number[][];
  readonly position_ids?: number[][];
  readonly labels?: number[][];
  readonly loss: number;
  readonly gradients: Readonly<Record<string, { readonly loraA: string; readonly loraB: string }>>;
}

/** Golden, model, and how PyTorch calls a module of it. */
const CASES: readonly (readonly [string, string, (module: string) => string])[] = [
  ["minilm", "minilm", (module) => module.replace(/^m\./, "")],
  ["llama-right", "tiny-llama/optimum", (module) => module],
  ["llama-left", "tiny-llama/optimum", (module) => module],
  ["llama-right", "tiny-llama/optimum-with-past", (module) => module],
  ["llama-left", "tiny-llama/optimum-with-past", (module) => module],
  ["llama-right", "tiny-llama/genai-fp32", (module) => module.replace(".attn.", ".self_attn.")],
];

describe.skipIf(MODELS === undefined)(
  "gradients of whole models by PyTorch in float64, an adapter for each row",
  () => {
    test.each(CASES)("%s on %s", async (name, folder, nameOf) => {
      const golden: Golden = JSON.parse(readFileSync(join(import.meta.dirname, `../goldens/${name}.json`), "utf8"));
      await using model = await openModel(modelIn(folder), {
        ort: web,
        targets: (module) => Object.hasOwn(golden.gradients, nameOf(module.name)),
      });
      expect(model.modules.length).toBe(Object.keys(golden.gradients).length);
      const adapters = await Promise.all(
        Array.from({ length: golden.rows }, (_, row) => adapterOf(model, golden.rank, row, nameOf)),
      );
      const matrix = (rows: number[][]) => ints(rows.flat(), [rows.length, rows[0]!.length]);
      const feeds = model.complete({
        input_ids: matrix(golden.input_ids),
        attention_mask: matrix(golden.attention_mask),
        ...(golden.position_ids && { position_ids: matrix(golden.position_ids) }),
      });
      const { loss, gradients } = await model.gradients({ feeds, loss: lossOf(golden) }, { adapters });
      expect(Math.abs(loss - golden.loss)).toBeLessThan(1e-5 * Math.max(1, golden.loss));
      for (const { name: module } of model.modules) {
        const expected = golden.gradients[nameOf(module)]!;
        for (const part of ["loraA", "loraB"] as const) {
          const whole = floatsOf(expected[part]);
          const width = whole.length / golden.rows;
          const actual = adapters.flatMap((adapter) => [...gradients.get(adapter)!.get(module)![part]]);
          expect(actual.length).toBe(golden.rows * width);
          const largest = Math.max(...whole.map(Math.abs));
          const worst = Math.max(...whole.map((value, i) => Math.abs(value - actual[i]!)));
          expect(worst / largest, `${module} ${part}`).toBeLessThan(1e-5);
        }
      }
    });
  },
);

function lossOf({ labels }: Golden): Loss {
  return labels === undefined ? cosine({ left: [0, 1], right: [1, 2], targets: [0.2, -0.3] }) : tokenNll({ labels });
}

/** A model of the folder in memory, as onnxruntime-web takes it. */
function modelIn(folder: string) {
  const path = join(MODELS!, folder, "model.onnx");
  const externalData = folder.includes("genai") ? { "model.onnx.data": readFileSync(`${path}.data`) } : {};
  return { model: readFileSync(path), externalData };
}

async function adapterOf(
  model: LoraModel,
  rank: number,
  row: number,
  nameOf: (module: string) => string,
): Promise<MicroLora> {
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
