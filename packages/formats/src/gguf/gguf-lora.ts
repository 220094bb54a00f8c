import type { FileFormat } from "../format.js";
import { MAGIC } from "./container.js";
import { decodeGgufLora } from "./decode.js";
import { encodeGgufLora } from "./encode.js";

/** GGUF version 3 as llama.cpp's convert_lora_to_gguf.py writes it. */
export const ggufLora: FileFormat = {
  title: "GGUF LoRA of llama.cpp",
  extension: ".gguf",
  matches: (start) => MAGIC.every((byte, i) => start[i] === byte),
  decode: decodeGgufLora,
  encode: encodeGgufLora,
};
