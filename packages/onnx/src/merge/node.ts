import { type FileHandle, mkdir, open, realpath, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { MicroLora } from "microlora";
import { replaceFiles } from "microlora/node";
import { checkOptions, refuseArgument } from "../base/check.js";
import { OnnxError } from "../base/errors.js";
import { splitBranches } from "../graft/branches.js";
import type { Module } from "../graft/modules.js";
import { constantsOf } from "../graph/constants.js";
import type { Model, Tensor } from "../graph/ir.js";
import { externalLocations, type ModelFiles } from "../run/files.js";
import { fingerprintOf } from "../run/fingerprint.js";
import { filesAt, readPlaces } from "../run/node.js";
import { writeApart } from "./apart.js";
import { type Base, type Change, type MergedModule, planMerge } from "./plan.js";
import type { LowRankChange } from "./product.js";

/** Bytes that are in memory at a time. */
const CHUNK = 1 << 20;

/** What a merge finds in a base model: what `LoraModel` has of it too. */
export interface MergeBase {
  /** The modules that can be merged into. */
  readonly modules: readonly Module[];
  /** Tells this base model from others. */
  readonly fingerprint: string;
}

/** An adapter to merge, or a function that gives the changes once the base model is known. */
export type MergeSource = MicroLora | ((base: MergeBase) => readonly LowRankChange[]);

/** What a merge wrote. */
export interface MergeReport {
  /** The modules that were merged. */
  readonly modules: readonly MergedModule[];
}

/**
 * Writes a model with an adapter merged into its weights. Only the bytes of these weights differ; files are streamed. Quantised weights
 * are quantised again in the same scheme. A weight that other modules have too (a tied embedding) is written apart for the module; the
 * model's own file is then written anew. Data files are written beside the new model under their names, so that such a model needs another
 * folder. Nothing is at the new place before all of it is written.
 *
 * @param from path of the base model, which is not touched
 * @param to path of the merged one
 * @param source an adapter; of another program's file, `(base) => changes`, with names and ranks of any kind
 * @param options sign -1 takes a merged adapter out again, up to the rounding of the weights; with `overwrite: false`, what is at
 * the new place already is left alone
 * @throws OnnxError as `readModel`, and `invalid-argument`, `wrong-base`, `unknown-module`, `shape-mismatch`, `not-finite`, `external-data`
 * if files would be written over those of the base, `cannot-write` over others, `unsupported-type` for weights that cannot be written
 */
export async function mergeIntoModel(
  from: string,
  to: string,
  source: MergeSource,
  options: { readonly sign?: 1 | -1; readonly overwrite?: boolean } = {},
): Promise<MergeReport> {
  checkOptions(options, ["sign", "overwrite"], "options");
  for (const [where, path] of Object.entries({ from, to }))
    if (typeof path !== "string") refuseArgument(where, path, "Pass a path");
  const { sign = 1, overwrite = true } = options;
  const placed = readPlaces(from);
  const given = filesAt(from);
  const { base, plan } = await planOf(placed, given, source, sign);
  const files = ["", ...externalLocations(placed)].map((location) => ({
    from: location === "" ? from : join(dirname(from), location),
    to: location === "" ? to : join(dirname(to), location),
    changes: plan.changes.filter((change) => change.location === location).sort((a, b) => a.offset - b.offset),
  }));
  for (const file of files) await refuseOverwrite(file.from, file.to, overwrite);
  for (const file of files) await mkdir(dirname(file.to), { recursive: true });
  const own = plan.apart.length === 0 ? undefined : writeApart(base, plan);
  await replaceFiles(
    files.map((file, i) => ({
      path: file.to,
      write: (append) => (i === 0 && own !== undefined ? append(own) : copyChanged(file.from, append, file.changes)),
    })),
  );
  return { modules: plan.modules };
}

async function planOf(placed: Model, given: ModelFiles, source: MergeSource, sign: 1 | -1) {
  const { branches, found } = splitBranches(given.model);
  const { modules } = found;
  const fingerprint = await fingerprintOf({ ...given, model: branches[0]!.model });
  if (typeof source !== "function") {
    if (typeof source?.getAdapter !== "function") refuseArgument("source", source, "Pass a MicroLora, or a function");
    if (sign === 1) checkBase(source, fingerprint);
  }
  const products = typeof source === "function" ? source({ modules, fingerprint }) : productsOf(source);
  const read = (tensor: Tensor) => given.read(tensor, 0, Number.MAX_SAFE_INTEGER);
  const base: Base = { branches, modules, placed: constantsOf(placed.graph), read };
  return { base, plan: planMerge(base, products, sign) };
}

function productsOf(adapter: MicroLora): readonly LowRankChange[] {
  return adapter.config.modules.map(({ module }) => adapter.getAdapter(module)!);
}

function checkBase({ config }: MicroLora, fingerprint: string): void {
  if (config.baseModel === null || config.baseModel === fingerprint) return;
  const problem = `it was made for ${config.baseModel}, and this model is ${fingerprint}`;
  throw new OnnxError("wrong-base", "adapter", problem, "Merge it into its own base model");
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
