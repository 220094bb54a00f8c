import { type FileHandle, mkdir, open, realpath, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { MicroLora } from "microlora";
import { replaceFiles } from "microlora/node";
import { OnnxError } from "../base/errors.js";
import type { Module } from "../graft/modules.js";
import type { Model } from "../graph/ir.js";
import { openFile } from "../graph/serde/node.js";
import { readModelFrom } from "../graph/serde/read.js";
import { anatomyOf } from "../session/branches.js";
import { externalLocations } from "../session/files.js";
import { fingerprintOf } from "../session/fingerprint.js";
import { filesAt } from "../session/node.js";
import { type Change, type LowRankChange, planMerge } from "./plan.js";

/** Bytes that are in memory at a time. */
const CHUNK = 1 << 20;

/** What a merge finds in a base model: what `LoraModel` has of it too. */
export interface MergeBase {
  readonly modules: readonly Module[];
  readonly fingerprint: string;
}

/** What is merged: an adapter, or the changes of modules of the base, chosen when that is known. */
export type MergeSource = MicroLora | ((base: MergeBase) => readonly LowRankChange[]);

/**
 * Writes a model with an adapter merged into its weights: the same files but for the bytes of these weights, streamed. Data
 * files are written beside the new model under their names, so that such a model needs another folder. Nothing is at the new
 * place before all of it is written.
 *
 * @param from path of the base model, which is not touched
 * @param to path of the merged one
 * @param source an adapter; of another program's file, `(base) => changes`, with names and ranks of any kind
 * @param options sign -1 takes a merged adapter out again, up to the rounding of the weights; with `overwrite: false`, what is at
 * the new place already is left alone
 * @throws OnnxError as `readModel`, and `wrong-base`, `unknown-module`, `shape-mismatch`, `not-finite`, `external-data` if files would be
 * written over those of the base, `cannot-write` over others, `unsupported-type` for quantised weights and those that are used elsewhere too
 */
export async function mergeIntoModel(
  from: string,
  to: string,
  source: MergeSource,
  { sign = 1, overwrite = true }: { readonly sign?: 1 | -1; readonly overwrite?: boolean } = {},
): Promise<void> {
  const placed = readPlaces(from);
  const changes = await changesOf(from, placed, source, sign);
  const files = ["", ...externalLocations(placed)].map((location) => ({
    from: location === "" ? from : join(dirname(from), location),
    to: location === "" ? to : join(dirname(to), location),
    changes: changes.filter((change) => change.location === location).sort((a, b) => a.offset - b.offset),
  }));
  for (const file of files) await refuseOverwrite(file.from, file.to, overwrite);
  for (const file of files) await mkdir(dirname(file.to), { recursive: true });
  await replaceFiles(
    files.map((file) => ({ path: file.to, write: (append) => copyChanged(file.from, append, file.changes) })),
  );
}

async function changesOf(from: string, placed: Model, source: MergeSource, sign: 1 | -1): Promise<readonly Change[]> {
  const given = filesAt(from);
  const { branches, found } = anatomyOf(given.model);
  const { modules } = found;
  const fingerprint = await fingerprintOf({ ...given, model: branches[0]!.model });
  if (typeof source !== "function" && sign === 1) checkBase(source, fingerprint);
  const products = typeof source === "function" ? source({ modules, fingerprint }) : productsOf(source);
  const graphs = branches.map(({ model: { graph } }) => graph);
  return planMerge(graphs, modules, placed.graph.initializers, products, sign);
}

function productsOf(adapter: MicroLora): readonly LowRankChange[] {
  return adapter.config.modules.map(({ module }) => adapter.getAdapter(module)!);
}

function checkBase({ config }: MicroLora, fingerprint: string): void {
  if (config.baseModel === null || config.baseModel === fingerprint) return;
  const problem = `it was made for ${config.baseModel}, and this model is ${fingerprint}`;
  throw new OnnxError("wrong-base", "adapter", problem, "Merge it into its own base model");
}

/** The model with every tensor left in its file. */
function readPlaces(path: string): Model {
  using source = openFile(path);
  return readModelFrom(source, 0);
}

async function refuseOverwrite(from: string, to: string, overwrite: boolean): Promise<void> {
  const there = await realpath(to).catch(() => undefined);
  if ((there ?? resolve(to)) === (await realpath(from))) {
    const problem = "it is a file of the base model";
    throw new OnnxError("external-data", to, problem, "Write the merged model to another folder");
  }
  if (there === undefined || (overwrite && (await stat(there)).isFile())) return;
  throw new OnnxError(
    "cannot-write",
    to,
    "it exists already",
    "Write elsewhere, or allow overwriting (`overwrite: true`, --force of the command)",
  );
}

type Append = (bytes: Uint8Array) => Promise<void>;

async function copyChanged(from: string, append: Append, changes: readonly Change[]): Promise<void> {
  const input = await open(from, "r");
  try {
    const { size } = await input.stat();
    let position = 0;
    for (const change of changes) {
      await copy(input, append, position, change.offset);
      await copyRows(input, append, change);
      position = change.offset + change.rows * change.rowBytes;
    }
    await copy(input, append, position, size);
  } finally {
    await input.close();
  }
}

async function copy(input: FileHandle, append: Append, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += CHUNK) await append(await read(input, at, Math.min(CHUNK, to - at)));
}

async function copyRows(input: FileHandle, append: Append, change: Change): Promise<void> {
  const atATime = Math.max(1, Math.floor(CHUNK / change.rowBytes));
  for (let first = 0; first < change.rows; first += atATime) {
    const count = Math.min(atATime, change.rows - first);
    const bytes = await read(input, change.offset + first * change.rowBytes, count * change.rowBytes);
    await append(change.apply(bytes, first));
  }
}

async function read(input: FileHandle, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await input.read(bytes, done, length - done, at + done);
    if (bytesRead === 0)
      throw new OnnxError("truncated", `byte ${at + done}`, "the file ends here", "Get the whole file again");
    done += bytesRead;
  }
  return bytes;
}
