import { randomUUID } from "node:crypto";
import { open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { METHODS } from "./learn/methods.js";
import { Learner } from "./learner.js";
import { type LoadOptions, MicroLora } from "./micro-lora.js";
import { Personalizer } from "./personalizer.js";

/** Anything that has a byte form: a `MicroLora`, a `Learner`, a `Personalizer`. */
export interface Saveable {
  toBytes(): Uint8Array;
}

/**
 * Writes the state to a file so that a kill at any moment leaves the old file or the new one: a temporary file beside
 * it, synced, renamed, and the folder synced. A kill may leave the temporary file (`.tmp`), which nothing reads.
 * @throws the file system's own errors, such as ENOENT
 */
export async function save(state: Saveable, path: string): Promise<void> {
  const bytes = state.toBytes();
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    const file = await open(temporary, "wx");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
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
