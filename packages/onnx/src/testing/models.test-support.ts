import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as ort from "onnxruntime-web";
import type { HostTensor } from "../base/host-tensor.js";
import { ints } from "../base/host-tensor.js";
import type { LoraModel } from "../model/lora-model.js";
import { openModel } from "../model/node.js";
import type { OpenOptions } from "../model/options.js";
import type { Ort } from "../run/ort.js";

ort.env.wasm.numThreads = 1;

/** onnxruntime-web's wasm, as a browser runs it. */
export const web: Ort = ort;

/** Tiny transformers with random weights, made by `fixtures/make.py`. */
export const FIXTURES = ["bert-legacy", "gpt2-legacy", "llama-dynamo"] as const;
export type Fixture = (typeof FIXTURES)[number];

export function fixturePath(name: Fixture): string {
  return join(import.meta.dirname, "../../fixtures", name, "model.onnx");
}

/** A fixture in memory, as a browser has it. */
export function openFixture(name: Fixture, options: Omit<OpenOptions, "ort">): Promise<LoraModel> {
  const path = fixturePath(name);
  const data = name === "llama-dynamo" ? { externalData: { "model.onnx.data": readFileSync(`${path}.data`) } } : {};
  return openModel({ model: readFileSync(path), ...data }, { ort: web, ...options });
}

/** Tokens of `rows` texts, the last one half as long, and what else the fixture takes. */
export function feedsOf(name: Fixture, rows: number, tokens: number, seed = 1): Record<string, HostTensor> {
  const dims = [rows, tokens];
  const all = Array.from({ length: rows * tokens }, (_, i) => i);
  const feeds = {
    input_ids: ints(
      all.map((i) => (i * 37 + seed * 11) % 97),
      dims,
    ),
    attention_mask: ints(
      all.map((i) => (i < rows * tokens - Math.floor(tokens / 2) ? 1 : 0)),
      dims,
    ),
  };
  return name === "bert-legacy"
    ? {
        ...feeds,
        token_type_ids: ints(
          all.map(() => 0),
          dims,
        ),
      }
    : feeds;
}

/** Pseudo-random numbers in [-0.5, 0.5). */
export function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 16_807) % 2_147_483_647;
    return state / 2_147_483_647 - 0.5;
  };
}
