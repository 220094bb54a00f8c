import { bincode } from "./bincode/bincode.js";
import type { FileFormat } from "./format.js";
import { ggufLora } from "./gguf/gguf-lora.js";
import { native } from "./native/micro-lora.js";
import { onnxAdapter } from "./onnx-adapter/onnx-adapter.js";
import { safetensors } from "./peft/one-file.js";

/** Every format that is one file, by the name that `microlora convert --to` takes. */
export const FILE_FORMATS = {
  microlora: native,
  safetensors,
  gguf: ggufLora,
  onnx_adapter: onnxAdapter,
  bincode,
} as const satisfies Readonly<Record<string, FileFormat>>;

export type FileFormatName = keyof typeof FILE_FORMATS;

/** `peft` is a folder of two files, which `@microlora/formats/node` reads and writes; the others are one file. */
export type FormatName = FileFormatName | "peft";
export const FORMAT_NAMES: readonly FormatName[] = ["peft", ...(Object.keys(FILE_FORMATS) as FileFormatName[])];

const FORMATS = Object.entries(FILE_FORMATS) as [FileFormatName, FileFormat][];

/**
 * The format of a file by its first bytes, else by the end of its name.
 * @param start at least 16 bytes, fewer if the file has fewer
 */
export function detectFormat(start: Uint8Array, name = ""): FileFormatName | undefined {
  return FORMATS.find(([, format]) => format.matches(start))?.[0] ?? formatOfName(name);
}

/** The format that the end of a file's name promises. */
export function formatOfName(name: string): FileFormatName | undefined {
  return FORMATS.find(([, format]) => name.endsWith(format.extension))?.[0];
}
