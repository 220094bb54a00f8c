import { randomUUID } from "node:crypto";
import { copyFile, type FileHandle, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { FormatError, shown } from "../base/errors.js";
import { decodeUtf8, jsonObject, parseJsonObject } from "../base/json.js";
import { checkOutputs, kindOfPath, onDisk } from "../base/node.js";
import type { LoraFile } from "../picture/lora-file.js";
import type { TensorPlace } from "../safetensors/header.js";
import { SafetensorsReader } from "../safetensors/node.js";
import type { TensorChange } from "./change.js";
import { type MergeOptions, planMerge } from "./plan.js";

/** Bytes of a model that are in memory at a time. */
const CHUNK_BYTES = 4 * 2 ** 20;

/**
 * Merges an adapter into a model, from file to file, a few megabytes in memory at a time. All is checked before anything
 * is written, and the output appears whole or not at all; it may be the input's own path. A folder is a model in
 * several files, as Hugging Face stores large ones; each of them appears whole, the index last.
 * @param options how weights lie, whether to unmerge; with `overwrite: false`, what is there already is left alone
 * @throws FormatError as `planMerge`; `not-finite` where the sum is no number that the weights' type holds; `cannot-read`,
 * `cannot-write`
 */
export async function mergeSafetensors(
  input: string,
  output: string,
  file: LoraFile,
  options: MergeOptions & { readonly overwrite?: boolean } = {},
): Promise<void> {
  if ((await kindOfPath(input)) === "file") return mergeFiles([[input, output]], file, options);
  const { names, hasIndex } = await shardsOf(input);
  await mergeFiles(
    names.map((name) => [join(input, name), join(output, name)]),
    file,
    options,
  );
  if (!hasIndex || input === output) return;
  await onDisk(output, "writing", () => copyFile(join(input, INDEX_FILE), join(output, INDEX_FILE)));
}

const INDEX_FILE = "model.safetensors.index.json";

/** The files of a model in a folder. @throws FormatError `bad-header`, `bad-name` */
async function shardsOf(folder: string): Promise<{ names: readonly string[]; hasIndex: boolean }> {
  const path = join(folder, INDEX_FILE);
  const bytes = await onDisk(path, "reading", () =>
    readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    }),
  );
  if (bytes === undefined) return { names: ["model.safetensors"], hasIndex: false };
  const index = parseJsonObject(decodeUtf8(bytes, INDEX_FILE), INDEX_FILE);
  const names = new Set(jsonObject(index.get("weight_map"), `${INDEX_FILE}: weight_map`).values());
  return { names: [...names].map(shardName), hasIndex: true };
}

/** A name from a file, which must not lead out of the folder. */
function shardName(name: unknown): string {
  if (typeof name === "string" && name.endsWith(".safetensors") && !/[/\\]/.test(name) && name === basename(name)) {
    return name;
  }
  throw new FormatError(
    "bad-name",
    `${INDEX_FILE}: weight_map`,
    `names ${shown(name)}`,
    "Name files of its own folder",
  );
}

async function mergeFiles(
  paths: readonly (readonly [input: string, output: string])[],
  file: LoraFile,
  { overwrite = true, ...options }: MergeOptions & { readonly overwrite?: boolean },
): Promise<void> {
  const outputs = paths.map(([, output]) => output);
  await checkOutputs(outputs, overwrite);
  const readers: SafetensorsReader[] = [];
  try {
    for (const [input] of paths) readers.push(await SafetensorsReader.open(input));
    const tensors = new Map<string, TensorPlace>(readers.flatMap(({ layout }) => [...layout.tensors]));
    const plan = planMerge(tensors, file, options);
    for (const [i, reader] of readers.entries()) {
      const output = outputs[i]!;
      await onDisk(output, "writing", () => writeMerged(reader, output, plan));
    }
  } finally {
    for (const reader of readers) await reader[Symbol.asyncDispose]();
  }
}

async function writeMerged(
  reader: SafetensorsReader,
  output: string,
  plan: ReadonlyMap<string, TensorChange>,
): Promise<void> {
  const temporary = `${output}.${randomUUID()}.tmp`;
  await mkdir(dirname(output), { recursive: true });
  const out = await open(temporary, "wx");
  try {
    await out.write(reader.header);
    for (const [name, place] of reader.layout.tensors) await copyTensor(reader, out, place, plan.get(name));
    await out.sync();
    await out.close();
    await rename(temporary, output);
  } catch (error) {
    await out.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
}

async function copyTensor(
  reader: SafetensorsReader,
  out: FileHandle,
  { offset, byteLength }: TensorPlace,
  change: TensorChange | undefined,
): Promise<void> {
  const rowBytes = change === undefined ? 1 : byteLength / change.rows;
  const step = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes)) * rowBytes;
  for (let at = 0; at < byteLength; at += step) {
    const bytes = await reader.readBytes(offset + at, Math.min(step, byteLength - at));
    await out.writeFile(change === undefined ? bytes : change.apply(bytes, at / rowBytes));
  }
}
