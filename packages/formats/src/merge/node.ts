import { randomUUID } from "node:crypto";
import {
  copyFile,
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  writeFile,
} from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { checkOutputs, kindOfPath, onDisk } from "../base/node.js";
import { unflattenModules } from "../layouts/flattened.js";
import { INDEX_FILE, ModelTensors } from "../model/node.js";
import type { LoraFile } from "../picture/lora-file.js";
import type { MergeReport } from "../picture/merge-report.js";
import { layOut, type TensorInfo, type TensorPlace } from "../safetensors/header.js";
import type { SafetensorsReader } from "../safetensors/node.js";
import type { TensorChange } from "./change.js";
import { changedConfig, configWarnings, tiedHeadOf } from "./config.js";
import type { AddedTensor } from "./head.js";
import { type MergeOptions, type MergePlan, planMerge } from "./plan.js";

/** Bytes of a model that are in memory at a time. */
const CHUNK_BYTES = 4 * 2 ** 20;
const CONFIG = "config.json";

/** What beside its weights makes a model's folder: configuration, tokenizer, code, licence. */
const COMPANIONS = /\.(?:json|txt|model|jinja|py|tiktoken|spm|vocab|bpe)$|^(?:LICENSE|NOTICE|USE_POLICY)/i;

/**
 * Merges an adapter into a model, from file to file, a few megabytes in memory at a time. All is checked before anything
 * is written, and the output appears whole or not at all; it may be the input's own path. A folder is a model in one file or
 * several, as Hugging Face stores them; each of them appears whole, the index last, and configuration and tokenizer are
 * copied. A head that is tied to the embedding is written apart where the adapter changes one of the two.
 * @param options how weights lie, whether to unmerge; with `overwrite: false`, what is there already is left alone
 * @throws FormatError as `planMerge`; `not-finite` where the weights' type cannot hold the sum; `cannot-read`,
 * `cannot-write`
 */
export async function mergeSafetensors(
  input: string,
  output: string,
  file: LoraFile,
  { overwrite = true, ...options }: MergeOptions & { readonly overwrite?: boolean } = {},
): Promise<MergeReport> {
  const isFolder = (await kindOfPath(input)) === "folder";
  await using model = await ModelTensors.open(input);
  const config = await readConfig(join(isFolder ? input : dirname(input), CONFIG));
  const tiedHead = options.tiedHead ?? tiedHeadOf(config);
  // kohya's names have underscores where the model's have dots.
  const named = unflattenModules(file, model.infos.keys());
  const plan = planMerge(model.infos, named, { ...options, ...(tiedHead !== undefined && { tiedHead }) });
  const outputOf = (path: string) => (isFolder ? join(output, basename(path)) : output);
  const isElsewhere = isFolder && resolve(input) !== resolve(output);
  const companions = isElsewhere ? (await readdir(input)).filter((name) => COMPANIONS.test(name)) : [];
  const paths = [...model.files.map(([path]) => outputOf(path)), ...companions.map((name) => join(output, name))];
  await checkOutputs(paths, overwrite);
  for (const [path, reader] of model.files) {
    const added = new Map([...plan.added].filter(([, { like }]) => model.fileOf(like) === path));
    await onDisk(outputOf(path), "writing", () => writeMerged(reader, outputOf(path), plan, added));
  }
  const written = isFolder && config !== undefined;
  await onDisk(output, "writing", () => writeCompanions({ input, output, companions, plan, model, config, isFolder }));
  return { warnings: [...plan.warnings, ...configWarnings(plan.config, written)] };
}

/** The parsed config.json; undefined where there is none, or none that can be read. */
async function readConfig(path: string): Promise<Readonly<Record<string, unknown>> | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

interface Companions {
  readonly input: string;
  readonly output: string;
  readonly companions: readonly string[];
  readonly plan: MergePlan;
  readonly model: ModelTensors;
  readonly config: Readonly<Record<string, unknown>> | undefined;
  readonly isFolder: boolean;
}

/** The rest of a folder: its configuration as the merged model needs it, and the index last. */
async function writeCompanions({
  input,
  output,
  companions,
  plan,
  model,
  config,
  isFolder,
}: Companions): Promise<void> {
  if (!isFolder) return;
  for (const name of companions) {
    if (name === INDEX_FILE || name === CONFIG || !(await stat(join(input, name))).isFile()) continue;
    await copyFile(join(input, name), join(output, name));
  }
  if (config !== undefined) {
    const isSame = Object.keys(plan.config).length === 0;
    if (!isSame)
      await writeFile(join(output, CONFIG), `${JSON.stringify(changedConfig(config, plan.config), null, 2)}\n`);
    else if (companions.includes(CONFIG)) await copyFile(join(input, CONFIG), join(output, CONFIG));
  }
  if (model.index === undefined) return;
  const map = { ...(model.index.get("weight_map") as Record<string, unknown>) };
  for (const [name, { like }] of plan.added) map[name] = basename(model.fileOf(like));
  const index = { ...Object.fromEntries(model.index), weight_map: map };
  await writeFile(join(output, INDEX_FILE), `${JSON.stringify(index, null, 2)}\n`);
}

/** A tensor of the output: bytes of the input, changed or not, or bytes of its own. */
interface Output {
  readonly info: TensorInfo;
  readonly place: TensorPlace;
  readonly change: TensorChange | undefined;
}

async function writeMerged(
  reader: SafetensorsReader,
  output: string,
  { changes }: MergePlan,
  added: ReadonlyMap<string, AddedTensor>,
): Promise<void> {
  const outputs = new Map<string, Output>();
  const { tensors, metadata } = reader.layout;
  for (const [name, place] of tensors) outputs.set(name, outputOf(place, changes.get(name)));
  for (const [name, { like, change }] of added) outputs.set(name, outputOf(tensors.get(like)!, change));
  const isSameLayout =
    added.size === 0 && [...outputs.values()].every(({ info, place }) => String(info.shape) === String(place.shape));
  // A file whose tensors keep their sizes keeps its header, byte for byte.
  const infos = new Map([...outputs].map(([name, { info }]) => [name, info]));
  const { header, layout } = isSameLayout ? reader : layOut(infos, metadata);
  const temporary = `${output}.${randomUUID()}.tmp`;
  await mkdir(dirname(output), { recursive: true });
  const out = await open(temporary, "wx");
  try {
    await out.write(header);
    for (const name of layout.tensors.keys()) await writeTensor(reader, out, outputs.get(name)!);
    await out.sync();
    await out.close();
    await rename(temporary, output);
  } catch (error) {
    await out.close().catch(() => undefined);
    await rm(temporary, { force: true });
    throw error;
  }
}

function outputOf(place: TensorPlace, change: TensorChange | undefined): Output {
  return { info: change !== undefined && "whole" in change ? change.whole : place, place, change };
}

async function writeTensor(reader: SafetensorsReader, out: FileHandle, { place, change }: Output): Promise<void> {
  if (change !== undefined && "whole" in change) {
    await out.writeFile(change.whole.data);
    return;
  }
  const { offset, byteLength } = place;
  const rowBytes = change === undefined ? 1 : byteLength / change.rows;
  const step = Math.max(1, Math.floor(CHUNK_BYTES / rowBytes)) * rowBytes;
  for (let at = 0; at < byteLength; at += step) {
    const bytes = await reader.readBytes(offset + at, Math.min(step, byteLength - at));
    await out.writeFile(change === undefined ? bytes : change.apply(bytes, at / rowBytes));
  }
}
