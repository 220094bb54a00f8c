/// <reference lib="esnext.disposable" preserve="true" />

import { randomUUID } from "node:crypto";
import { open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { METHODS } from "./learn/methods.js";
import { Learner } from "./learner.js";
import { type LoadOptions, MicroLora } from "./micro-lora.js";
import { Personalizer } from "./personalizer.js";

/** Anything that has a byte form: a `MicroLora`, a `Learner`, a `Personalizer`, a `ModelLearner` of `@microlora/onnx`. */
export interface Saveable {
  toBytes(): Uint8Array | Promise<Uint8Array>;
}

/** How old a temporary file is that no save can still be writing; also how long a folder is not looked through again. */
const STALE_MILLISECONDS = 10 * 60_000;
const TEMPORARY = /\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.mlora-tmp$/;
const sweptAt = new Map<string, number>();

/** A file that is to be written: its path, and what gives its bytes one part after the other. */
export interface Replacement {
  readonly path: string;
  readonly write: (append: (bytes: Uint8Array) => Promise<void>) => Promise<void>;
}

/**
 * Writes the state to a file so that a kill at any moment leaves the old file or the new one. A kill may leave a temporary
 * file (`.mlora-tmp`), which nothing reads; a later save into the folder removes those that are older than ten minutes.
 * @throws the file system's own errors, such as ENOENT
 */
export async function save(state: Saveable, path: string): Promise<void> {
  const bytes = await state.toBytes();
  await replaceFiles([{ path, write: (append) => append(bytes) }]);
}

/**
 * Writes files as `save` does, and puts none in its place before all are written, the first last: each is a temporary file
 * beside its place, synced, renamed, and the folder synced.
 * @throws the file system's own errors, and what a `write` throws
 */
export async function replaceFiles(files: readonly Replacement[]): Promise<void> {
  const parts = files.map(({ path, write }) => ({ path, write, temporary: `${path}.${randomUUID()}.mlora-tmp` }));
  try {
    for (const { temporary, write } of parts) await writeSynced(temporary, write);
    for (const { temporary, path } of parts.toReversed()) await rename(temporary, path);
  } catch (error) {
    for (const { temporary } of parts) await rm(temporary, { force: true });
    throw error;
  }
  for (const folder of new Set(files.map(({ path }) => resolve(dirname(path))))) {
    await syncFolder(folder);
    await sweep(folder);
  }
}

async function writeSynced(path: string, write: Replacement["write"]): Promise<void> {
  const file = await open(path, "wx");
  try {
    await write((bytes) => file.writeFile(bytes));
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Removes what killed saves left in a folder. Names are never used twice, so none of another save's is met. */
async function sweep(folder: string): Promise<void> {
  const now = Date.now();
  if (now - (sweptAt.get(folder) ?? 0) < STALE_MILLISECONDS) return;
  if (sweptAt.size >= 1000) sweptAt.clear();
  sweptAt.set(folder, now);
  for (const name of await readdir(folder).catch(() => [])) {
    if (!TEMPORARY.test(name)) continue;
    const path = join(folder, name);
    const written = await stat(path).catch(() => undefined);
    if (written !== undefined && now - written.mtimeMs > STALE_MILLISECONDS)
      await rm(path, { force: true }).catch(() => {});
  }
}

/** Reads what `save` wrote of a `MicroLora`. @throws MicroLoraError as `MicroLora.fromBytes` */
export async function load(path: string, options?: LoadOptions): Promise<MicroLora> {
  return MicroLora.fromBytes(await readFile(path), { methods: METHODS, ...options });
}

/** Reads what `save` wrote of a `Personalizer`. @throws MicroLoraError as `Personalizer.fromBytes` */
export async function loadPersonalizer(path: string, options?: LoadOptions): Promise<Personalizer> {
  return Personalizer.fromBytes(await readFile(path), { methods: METHODS, ...options });
}

/** Reads what `save` wrote of a `Learner`. @throws MicroLoraError as `Learner.fromBytes` */
export async function loadLearner(path: string, options?: LoadOptions): Promise<Learner> {
  return Learner.fromBytes(await readFile(path), { methods: METHODS, ...options });
}

/** Makes the rename itself last; where folders cannot be opened (Windows), the system's own journal has to do. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r").catch(() => undefined);
  try {
    await folder?.sync();
  } finally {
    await folder?.close();
  }
}
