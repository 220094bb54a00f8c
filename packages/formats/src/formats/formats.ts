import { bincode } from "../bincode/bincode.js";
import type { FileFormat, ReadFormat } from "../format.js";
import { ggufLora } from "../gguf/gguf-lora.js";
import { safetensors } from "../layouts/one-file.js";
import { native } from "../native/micro-lora.js";
import { onnxAdapter } from "../onnx-adapter/onnx-adapter.js";
import { pytorch } from "../pytorch/pytorch.js";

/** Every format that is one file and is written, by the name that `microlora convert --to` takes. */
export const FILE_FORMATS = {
  microlora: native,
  safetensors,
  gguf: ggufLora,
  onnx_adapter: onnxAdapter,
  bincode,
} as const satisfies Readonly<Record<string, FileFormat>>;

/** Formats that are one file and are read only. */
export const READ_ONLY_FORMATS = { pytorch } as const satisfies Readonly<Record<string, ReadFormat>>;

/** Name of a format that is one file. */
export type FileFormatName = keyof typeof FILE_FORMATS;
/** Name of a format that is read and not written. */
export type ReadOnlyFormatName = keyof typeof READ_ONLY_FORMATS;

/** Formats that are a folder of two files, which `@microlora/formats/node` reads and writes. */
export const FOLDER_FORMATS = ["peft", "mlx"] as const;
/** Name of a format that is a folder. */
export type FolderFormatName = (typeof FOLDER_FORMATS)[number];

/** Formats that adapters are written in. */
export type FormatName = FileFormatName | FolderFormatName;
/** Names of every format that is written. */
export const FORMAT_NAMES: readonly FormatName[] = [
  ...FOLDER_FORMATS,
  ...(Object.keys(FILE_FORMATS) as FileFormatName[]),
];

/** Formats that adapters are read from. */
export type ReadableFormatName = FormatName | ReadOnlyFormatName;
/** Names of every format that is read. */
export const READABLE_FORMAT_NAMES: readonly ReadableFormatName[] = [
  ...FORMAT_NAMES,
  ...(Object.keys(READ_ONLY_FORMATS) as ReadOnlyFormatName[]),
];

/** The readers of formats that are one file. */
export const READERS: Readonly<Record<FileFormatName | ReadOnlyFormatName, ReadFormat>> = {
  ...FILE_FORMATS,
  ...READ_ONLY_FORMATS,
};

const FORMATS = Object.entries(READERS) as [keyof typeof READERS, ReadFormat][];

/**
 * The format of a file by its first bytes, else by the end of its name.
 * @param start at least 16 bytes, fewer if the file has fewer
 */
export function detectFormat(start: Uint8Array, name = ""): keyof typeof READERS | undefined {
  const found =
    FORMATS.find(([, format]) => format.matches(start)) ??
    FORMATS.find(([, { extension }]) => name.endsWith(extension));
  return found?.[0];
}

/** The format that the end of a file's name promises, of those that are written. */
export function formatOfName(name: string): FileFormatName | undefined {
  const formats = Object.entries(FILE_FORMATS) as [FileFormatName, FileFormat][];
  return formats.find(([, { extension }]) => name.endsWith(extension))?.[0];
}
