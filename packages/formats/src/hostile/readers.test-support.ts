import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { FILE_FORMATS, READERS as FORMATS } from "../formats/formats.js";
import { decodeMlx, encodeMlx } from "../mlx/mlx.js";
import { CONFIG_FILE, WEIGHTS_FILE } from "../peft/config.js";
import { decodePeft } from "../peft/decode.js";
import { fromFloats } from "../picture/floats.js";
import type { LoraFile } from "../picture/lora-file.js";
import { encodeSafetensors } from "../safetensors/safetensors.js";

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

function readJoined(
  bytes: Uint8Array,
  decode: (folder: { readonly config: Uint8Array; readonly weights: Uint8Array }) => LoraFile,
): LoraFile {
  const length = bytes.length < 4 ? 0 : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  return decode({ config: bytes.slice(HEADER, HEADER + length), weights: bytes.slice(HEADER + length) });
}

/** An adapter under kohya's names, with what LyCORIS has beside it. */
function kohya(): Uint8Array {
  const of = (shape: readonly number[]) =>
    fromFloats(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(0.5), shape);
  const tensors = new Map([
    ["lora_unet_mid_block_q.lora_down.weight", of([2, 4])],
    ["lora_unet_mid_block_q.lora_up.weight", of([3, 2])],
    ["lora_unet_mid_block_q.alpha", of([])],
    ["lora_unet_conv_in.lora_down.weight", of([2, 3, 1, 1])],
    ["lora_unet_conv_in.lora_mid.weight", of([2, 2, 3, 3])],
    ["lora_unet_conv_in.lora_up.weight", of([4, 2, 1, 1])],
    ["lora_unet_conv_in.dora_scale", of([4, 1, 1, 1])],
  ]);
  return encodeSafetensors({ metadata: new Map([["ss_sd_model_name", "a model"]]), tensors });
}

const LLAMA = { architecture: "llama", attentionHeads: 4, keyValueHeads: 2 };

export const READERS: Readonly<Record<string, Reader>> = {
  gguf: {
    read: (bytes) => FILE_FORMATS.gguf.decode(bytes, { base: LLAMA }),
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
  pytorch: {
    read: (bytes) => FORMATS.pytorch.decode(bytes, { alpha: 4, base: LLAMA }),
    good: () => [
      ...["adapter_model.bin", "legacy.bin", "views.bin", "doubles.bin", "halves.bin"].map((name) =>
        file("layouts/fixtures/pickled", name),
      ),
      file("layouts/fixtures/torchtune/adapter_0.pt"),
    ],
  },
  "image models": {
    read: (bytes) => FILE_FORMATS.safetensors.decode(bytes),
    good: () => [kohya()],
  },
  mlx: {
    read: (bytes) => readJoined(bytes, decodeMlx),
    good: () =>
      ["llama", "llama-f16", "llama-bf16"].map((name) => {
        const [config, weights] = [CONFIG_FILE, WEIGHTS_FILE].map((part) => file("peft/fixtures", name, part));
        const folder = encodeMlx(decodePeft({ config: config!, weights: weights! }));
        return joined(folder.config, folder.weights);
      }),
  },
  peft: {
    read: (bytes) => readJoined(bytes, decodePeft),
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
