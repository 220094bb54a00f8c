import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { FILE_FORMATS } from "../formats.js";
import { CONFIG_FILE, WEIGHTS_FILE } from "../peft/config.js";
import { decodePeft } from "../peft/decode.js";
import type { LoraFile } from "../picture/lora-file.js";

const SOURCES = join(import.meta.dirname, "..");
const HEADER = 8;

/** A reader of one byte sequence, and good files of the program that owns the format to begin from. */
export interface Reader {
  readonly read: (bytes: Uint8Array) => LoraFile;
  readonly good: () => readonly Uint8Array[];
}

const file = (...path: readonly string[]) => new Uint8Array(readFileSync(join(SOURCES, ...path)));
const names = (...path: readonly string[]) =>
  readdirSync(join(SOURCES, ...path)).filter((name) => !name.endsWith(".json"));

/** A PEFT folder as one sequence: the length of its config, the config, the weights. */
export function joined(config: Uint8Array, weights: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER + config.length + weights.length);
  new DataView(bytes.buffer).setUint32(0, config.length, true);
  bytes.set(config, HEADER);
  bytes.set(weights, HEADER + config.length);
  return bytes;
}

export function readJoined(bytes: Uint8Array): LoraFile {
  const length = bytes.length < 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  return decodePeft({ config: bytes.slice(HEADER, HEADER + length), weights: bytes.slice(HEADER + length) });
}

export const READERS: Readonly<Record<string, Reader>> = {
  gguf: {
    read: (bytes) =>
      FILE_FORMATS.gguf.decode(bytes, { base: { architecture: "llama", attentionHeads: 4, keyValueHeads: 2 } }),
    good: () =>
      ["LlamaForCausalLM", "llama-embeddings", "llama-f16", "llama-q8"].map((name) =>
        file("gguf/fixtures", name, "adapter.gguf"),
      ),
  },
  onnx_adapter: {
    read: (bytes) => FILE_FORMATS.onnx_adapter.decode(bytes),
    good: () => ["olive", "half"].map((name) => file("onnx-adapter/fixtures", `${name}.onnx_adapter`)),
  },
  bincode: {
    read: (bytes) => FILE_FORMATS.bincode.decode(bytes),
    good: () => ["attention", "every-module"].map((name) => file("bincode/fixtures", `${name}.bin`)),
  },
  safetensors: {
    read: (bytes) => FILE_FORMATS.safetensors.decode(bytes, { alpha: 4 }),
    good: () => ["llama", "llama-f16", "llama-bf16"].map((name) => file("peft/fixtures", name, WEIGHTS_FILE)),
  },
  peft: {
    read: readJoined,
    good: () =>
      names("peft/fixtures")
        .filter((name) => !/^base-|^refused$/.test(name))
        .map((name) => joined(file("peft/fixtures", name, CONFIG_FILE), file("peft/fixtures", name, WEIGHTS_FILE))),
  },
  microlora: {
    read: (bytes) => FILE_FORMATS.microlora.decode(bytes),
    good: () =>
      ["attention", "every-module"].map((name) =>
        FILE_FORMATS.microlora.encode(FILE_FORMATS.bincode.decode(file("bincode/fixtures", `${name}.bin`))),
      ),
  },
};
