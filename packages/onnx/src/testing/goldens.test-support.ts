import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { MicroLora } from "microlora";
import { expect } from "vitest";
import { floats, type HostTensor, ints } from "../base/host-tensor.js";
import type { LoraModel } from "../model/lora-model.js";
import type { Gradients } from "../train/trainer.js";

/** What PyTorch computed in float64: the loss, and its gradients by module. */
export interface Golden {
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

/** How PyTorch calls a module of a model. */
export type Naming = (module: string) => string;

/** @param name of a file in `goldens/` */
export function readGolden<T extends Golden>(name: string): T {
  return JSON.parse(readFileSync(join(import.meta.dirname, `../../goldens/${name}.json`), "utf8"));
}

/** Compares gradients with a golden's: the largest error of a tensor over its largest number. */
export function compareGradients(
  model: LoraModel,
  golden: Golden,
  adapters: readonly MicroLora[],
  { gradients }: Gradients,
  nameOf: Naming,
  limit: number,
): void {
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

export function feedsOf(model: LoraModel, golden: Golden): Record<string, HostTensor> {
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

export async function adapterOf(model: LoraModel, rank: number, row: number, nameOf: Naming): Promise<MicroLora> {
  const adapter = await model.createAdapter({ rank, alpha: rank });
  for (const { name } of model.modules) {
    const { loraA, loraB } = adapter.getAdapter(name)!;
    loraA.set(weights(`${nameOf(name)}.A`, row, loraA.length, 0.5));
    loraB.set(weights(`${nameOf(name)}.B`, row, loraB.length, 0.5));
  }
  return adapter;
}

/** As `weights` of goldens/make.py. */
export function weights(name: string, row: number, length: number, scale: number): Float32Array {
  let state = 2_166_136_261;
  for (const byte of new TextEncoder().encode(`${name} ${row}`)) state = Math.imul(state ^ byte, 16_777_619) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state / 2 ** 32 - 0.5) * scale;
  });
}

export function floatsOf(text: string): Float32Array {
  return new Float32Array(new Uint8Array(Buffer.from(text, "base64")).buffer);
}
