import { mkdir, open, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { save } from "microlora/node";
import { FormatError } from "./base/errors.js";
import type { DecodeOptions, EncodeOptions } from "./format.js";
import { detectFormat, FILE_FORMATS, type FormatName } from "./formats.js";
import { type BaseModel, baseModelFromConfig, baseModelFromGguf } from "./gguf/base-model.js";
import { CONFIG_FILE, WEIGHTS_FILE } from "./peft/config.js";
import { decodePeft } from "./peft/decode.js";
import { encodePeft, type PeftOptions } from "./peft/encode.js";
import type { LoraFile } from "./picture/lora-file.js";

export { mergeSafetensors } from "./merge/node.js";
export { SafetensorsReader } from "./safetensors/node.js";

/** An adapter, the format it was in, and how many bytes it took. */
export interface ReadAdapter {
  readonly format: FormatName;
  readonly file: LoraFile;
  readonly byteLength: number;
}

export interface ReadOptions extends DecodeOptions {
  /** Instead of what the file looks like. */
  readonly format?: FormatName;
}

/**
 * Reads an adapter of any format, told by its first bytes, else by its name; a folder is PEFT's.
 * @throws FormatError `unknown-format`, and as the format refuses; the file system's own errors, such as ENOENT
 */
export async function readAdapter(path: string, options: ReadOptions = {}): Promise<ReadAdapter> {
  if ((await stat(path)).isDirectory()) return readFolder(path);
  const bytes = await readFile(path);
  const format = options.format ?? detectFormat(bytes.subarray(0, 64), basename(path));
  if (format === undefined) {
    throw new FormatError("unknown-format", path, "is no adapter by its first bytes or its name", "Name its format");
  }
  if (format === "peft") return readFolder(dirname(path));
  // A PEFT folder may be named by the larger of its files.
  if (basename(path) === WEIGHTS_FILE && (await exists(join(dirname(path), CONFIG_FILE))))
    return readFolder(dirname(path));
  return { format, file: FILE_FORMATS[format].decode(bytes, options), byteLength: bytes.length };
}

/**
 * The facts of a base model that GGUF adapters depend on, from its config.json, or from the beginning of its GGUF file.
 * @throws FormatError; the file system's own errors
 */
export async function readBaseModel(path: string): Promise<BaseModel> {
  if (!path.endsWith(".gguf")) return baseModelFromConfig(parseConfig(await readFile(path, "utf8"), path));
  await using file = await open(path);
  const { size } = await file.stat();
  for (let length = 2 ** 16; ; length *= 4) {
    const start = new Uint8Array(Math.min(length, size));
    await file.read(start, 0, start.length, 0);
    try {
      return baseModelFromGguf(start);
    } catch (error) {
      // The vocabulary is part of the metadata, and may be long.
      if (!(error instanceof FormatError && error.code === "truncated") || length >= size) throw error;
    }
  }
}

function parseConfig(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new FormatError("bad-config", path, "is not JSON", "Pass the base model's config.json or GGUF", { cause });
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

async function readFolder(folder: string): Promise<ReadAdapter> {
  const [config, weights] = await Promise.all([readPart(folder, CONFIG_FILE), readPart(folder, WEIGHTS_FILE)]);
  return { format: "peft", file: decodePeft({ config, weights }), byteLength: config.length + weights.length };
}

async function readPart(folder: string, name: string): Promise<Uint8Array> {
  try {
    return await readFile(join(folder, name));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw cause;
    const problem = `has no ${name}`;
    throw new FormatError("missing-config", folder, problem, "Pass a folder that PEFT's save_pretrained wrote", {
      cause,
    });
  }
}

/**
 * Writes an adapter, so that a kill at any moment leaves each file old or new. PEFT's format makes a folder.
 * @throws FormatError as the format refuses; nothing is written then
 */
export async function writeAdapter(
  file: LoraFile,
  path: string,
  format: FormatName,
  options: EncodeOptions & PeftOptions = {},
): Promise<void> {
  if (format !== "peft") {
    const bytes = FILE_FORMATS[format].encode(file, options);
    await save({ toBytes: () => bytes }, path);
    return;
  }
  const { config, weights } = encodePeft(file, options);
  await mkdir(path, { recursive: true });
  await save({ toBytes: () => weights }, join(path, WEIGHTS_FILE));
  await save({ toBytes: () => config }, join(path, CONFIG_FILE));
}
