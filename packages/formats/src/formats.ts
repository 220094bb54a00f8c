import { bincode } from "./bincode/bincode.js";
import type { FileFormat } from "./format.js";
import { native } from "./native/micro-lora.js";
import { safetensors } from "./peft/one-file.js";

/** Every format that is one file, by the name that `microlora convert --to` takes. */
export const FILE_FORMATS = {
  microlora: native,
  safetensors,
  bincode,
} as const satisfies Readonly<Record<string, FileFormat>>;

export type FileFormatName = keyof typeof FILE_FORMATS;
