import type { FileFormat } from "../format.js";
import { type PeftOptions, toTensors } from "../peft/encode.js";
import { checkLoraFile, type LoraFile } from "../picture/lora-file.js";
import { decodeSafetensors, encodeSafetensors } from "../safetensors/safetensors.js";
import { CONFIG_KEY, decodeTensors } from "./decode-tensors.js";

/**
 * An adapter in one safetensors file: written with PEFT's tensors and, in the metadata, its configuration; read with the
 * names of other programs, too.
 */
export const safetensors: FileFormat = {
  title: "safetensors",
  extension: ".safetensors",
  matches: (start) => start[8] === 0x7b && start.subarray(4, 8).every((byte) => byte === 0),
  decode: (bytes, options) => decodeTensors(decodeSafetensors(bytes), options),
  encode,
};

function encode(file: LoraFile, options: PeftOptions = {}): Uint8Array {
  checkLoraFile(file);
  const { tensors, config } = toTensors(file, options);
  return encodeSafetensors({ ...tensors, metadata: new Map([...tensors.metadata, [CONFIG_KEY, config]]) });
}
