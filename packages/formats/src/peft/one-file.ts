import { FormatError } from "../base/errors.js";
import type { DecodeOptions, FileFormat } from "../format.js";
import { checkLoraFile, type LoraFile } from "../picture/lora-file.js";
import { decodeSafetensors, encodeSafetensors } from "../safetensors/safetensors.js";
import { fromTensors } from "./decode.js";
import { type PeftOptions, toTensors } from "./encode.js";

/** Where PEFT's configuration goes where there is no folder to put it in. */
const CONFIG_KEY = "adapter_config";

/** PEFT's tensors and, in the metadata, its configuration: an adapter in one safetensors file. */
export const safetensors: FileFormat = {
  title: "safetensors with PEFT's names",
  extension: ".safetensors",
  matches: (start) => start[8] === 0x7b && start.subarray(4, 8).every((byte) => byte === 0),
  decode,
  encode,
};

function decode(bytes: Uint8Array, { alpha }: DecodeOptions = {}): LoraFile {
  const tensors = decodeSafetensors(bytes);
  const config = tensors.metadata.get(CONFIG_KEY);
  if (config !== undefined) return fromTensors(tensors, config);
  if (alpha !== undefined) return fromTensors(tensors, JSON.stringify({ lora_alpha: alpha }));
  throw new FormatError(
    "missing-config",
    "metadata",
    `has no ${CONFIG_KEY}, so the scaling is not known`,
    "Put adapter_config.json beside the file and pass the folder, or pass alpha",
  );
}

function encode(file: LoraFile, options: PeftOptions = {}): Uint8Array {
  checkLoraFile(file);
  const { tensors, config } = toTensors(file, options);
  return encodeSafetensors({ ...tensors, metadata: new Map([...tensors.metadata, [CONFIG_KEY, config]]) });
}
