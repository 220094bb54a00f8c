import { randomUUID } from "node:crypto";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { save } from "microlora/node";
import { FormatError } from "./base/errors.js";
import { checkOutputs, kindOfPath, onDisk, openFile, readWhole } from "./base/node.js";
import type { DecodeOptions, EncodeOptions } from "./format.js";
import { detectFormat, FILE_FORMATS, type FormatName } from "./formats.js";
import { type BaseModel, baseModelFromConfig, baseModelFromGguf } from "./gguf/base-model.js";
import { CONFIG_FILE, WEIGHTS_FILE } from "./peft/config.js";
import { decodePeft, type PeftFolder } from "./peft/decode.js";
import { encodePeft, type PeftOptions } from "./peft/encode.js";
import type { LoraFile } from "./picture/lora-file.js";

export { fileError, kindOfPath } from "./base/node.js";
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
 * @throws FormatError `unknown-format`, `cannot-read`, and as the format refuses
 */
export async function readAdapter(path: string, options: ReadOptions = {}): Promise<ReadAdapter> {
  if ((await kindOfPath(path)) === "folder") {
    if ((options.format ?? "peft") === "peft") return readFolder(path);
    throw new FormatError("cannot-read", path, `is a folder, which ${options.format} is not`, "Pass a file");
  }
  // A PEFT folder may be named by one of its files.
  const isPart = basename(path) === CONFIG_FILE || basename(path) === WEIGHTS_FILE;
  if (options.format === "peft" || (isPart && (await exists(join(dirname(path), CONFIG_FILE))))) {
    return readFolder(dirname(path));
  }
  const bytes = await readWhole(path);
  const format = options.format ?? detectFormat(bytes.subarray(0, 64), basename(path));
  if (format === undefined) {
    throw new FormatError("unknown-format", path, "is no adapter by its first bytes or its name", "Name its format");
  }
  return { format, file: FILE_FORMATS[format].decode(bytes, options), byteLength: bytes.length };
}

/**
 * The facts of a base model that GGUF adapters depend on, from its config.json, a folder that has one, or the beginning of
 * its GGUF file.
 * @throws FormatError
 */
export async function readBaseModel(path: string): Promise<BaseModel> {
  if ((await kindOfPath(path)) === "folder") return readBaseModel(join(path, "config.json"));
  if (!path.endsWith(".gguf")) return baseModelFromConfig(parseConfig(await readWhole(path), path));
  await using file = await openFile(path);
  const { size } = await file.stat();
  for (let length = 2 ** 16; ; length *= 4) {
    const start = new Uint8Array(Math.min(length, size));
    await onDisk(path, "reading", () => file.read(start, 0, start.length, 0));
    try {
      return baseModelFromGguf(start);
    } catch (error) {
      // The vocabulary is part of the metadata, and may be long.
      if (!(error instanceof FormatError && error.code === "truncated") || length >= size) throw error;
    }
  }
}

function parseConfig(bytes: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new FormatError("bad-config", path, "is not JSON", "Pass the base model's config.json or GGUF", { cause });
  }
}

/** Also true where it cannot be told: then whoever uses the path is told why. */
async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    ({ code }: NodeJS.ErrnoException) => code !== "ENOENT",
  );
}

async function readFolder(folder: string): Promise<ReadAdapter> {
  const config = await readPart(folder, CONFIG_FILE);
  const weights = await readPart(folder, WEIGHTS_FILE);
  return { format: "peft", file: decodePeft({ config, weights }), byteLength: config.length + weights.length };
}

async function readPart(folder: string, name: string): Promise<Uint8Array> {
  const path = join(folder, name);
  if (await exists(path)) return readWhole(path);
  const isPickled = name === WEIGHTS_FILE && (await exists(join(folder, PICKLE_FILE)));
  const problem = isPickled ? `has ${PICKLE_FILE}, which is code to run, and no ${name}` : `has no ${name}`;
  const remedy = isPickled ? "Save it as safetensors with PEFT" : "Pass a folder that PEFT's save_pretrained wrote";
  throw new FormatError("missing-config", folder, problem, remedy);
}

/** What PEFT wrote before it wrote safetensors: Python's pickle. */
const PICKLE_FILE = "adapter_model.bin";

export interface WriteOptions {
  /** Whether a file that is there already may be written over; by default it may. */
  readonly overwrite?: boolean;
}

/**
 * Writes an adapter, so that a kill at any moment leaves each file old or new. PEFT's format makes a folder, which appears
 * whole where there was none.
 * @throws FormatError as the format refuses, nothing is written then; `cannot-write`
 */
export async function writeAdapter(
  file: LoraFile,
  path: string,
  format: FormatName,
  { overwrite = true, ...options }: EncodeOptions & PeftOptions & WriteOptions = {},
): Promise<void> {
  await checkOutputs(format === "peft" ? [join(path, CONFIG_FILE), join(path, WEIGHTS_FILE)] : [path], overwrite);
  if (format !== "peft") {
    const bytes = FILE_FORMATS[format].encode(file, options);
    return onDisk(path, "writing", async () => {
      await mkdir(dirname(path), { recursive: true });
      await save({ toBytes: () => bytes }, path);
    });
  }
  const folder = encodePeft(file, options);
  if (await exists(path)) return onDisk(path, "writing", () => writeFolder(path, folder));
  const temporary = `${path.replace(/[/\\]+$/, "")}.${randomUUID()}.tmp`;
  try {
    await onDisk(path, "writing", () => writeFolder(temporary, folder).then(() => rename(temporary, path)));
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function writeFolder(path: string, { config, weights }: PeftFolder): Promise<void> {
  await mkdir(path, { recursive: true });
  await save({ toBytes: () => weights }, join(path, WEIGHTS_FILE));
  await save({ toBytes: () => config }, join(path, CONFIG_FILE));
}
