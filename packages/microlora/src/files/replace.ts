import { randomBytes } from "node:crypto";
import { chmod, chown, link, open, rename, rm, stat, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MicroLoraError } from "../base/errors.js";
import { fileError, onDisk, refusePath, shownPath } from "./file-error.js";
import { type Place, withLocks } from "./lock.js";
import { isOurs, nameOf, sweep } from "./sweep.js";
import { checkWritable, type Kept, keptOf } from "./target.js";

/** How often a long writing tells other processes that its temporary files are in use. */
const TOUCH_EVERY_MILLISECONDS = 60_000;

/** A file that is to be replaced. */
export interface Part extends Place {
  /** Gives the bytes, one piece after the other. */
  readonly write: (append: (bytes: Uint8Array) => Promise<void>) => Promise<void>;
  /** Runs before anything is replaced, while no other process saves here; it throws to refuse. */
  readonly check?: () => Promise<void>;
}

interface Written extends Part {
  readonly temporary: string;
  readonly kept: Kept | undefined;
}

/**
 * Writes files and replaces all of them or, if anything is refused, none.
 * @param replaced runs as soon as the files are in their places
 * @throws what a part's `write` or `check` throws
 */
export async function replace(parts: readonly Part[], replaced: () => void = () => {}): Promise<void> {
  const written: Written[] = [];
  const timer = setInterval(() => touchAll(written).catch(() => {}), TOUCH_EVERY_MILLISECONDS).unref();
  try {
    for (const part of parts) {
      const kept = await keptOf(part);
      if (kept !== undefined) await checkWritable(part);
      const temporary = join(dirname(part.target), nameOf(randomBytes(9).toString("base64url"), "tmp"));
      isOurs.add(temporary);
      const next = { ...part, temporary, kept };
      written.push(next);
      await writeSynced(next);
    }
    await withLocks(parts, (checkLocks) => commit(written, checkLocks));
    replaced();
  } catch (error) {
    for (const { temporary } of written) await rm(temporary, { force: true }).catch(() => {});
    throw error;
  } finally {
    clearInterval(timer);
    for (const { temporary } of written) isOurs.delete(temporary);
  }
  for (const folder of new Set(parts.map(({ target }) => dirname(target)))) {
    await onDisk(folder, "writing", () => syncFolder(folder));
    await sweep(folder);
  }
}

async function writeSynced({ temporary, kept, path, write }: Written): Promise<void> {
  const file = await onDisk(path, "writing", () => open(temporary, "wx", kept?.mode ?? 0o666));
  try {
    if (kept !== undefined) await keepOwnerAndMode(temporary, kept, path);
    await write((bytes) => onDisk(path, "writing", () => file.writeFile(bytes)));
    await onDisk(path, "writing", () => file.sync());
  } finally {
    await onDisk(path, "writing", () => file.close());
  }
}

async function keepOwnerAndMode(temporary: string, { mode, uid, gid }: Kept, path: string): Promise<void> {
  const own = await onDisk(path, "writing", () => stat(temporary));
  const isOwned = own.uid === uid && own.gid === gid;
  if (!isOwned) {
    await chown(temporary, uid, gid).catch(() => {
      const problem = `belongs to user ${uid} and group ${gid}, and this process may not give files to them`;
      refusePath(path, "writing", problem, "Save as that user, or remove the file first");
    });
  }
  // After the owner, since a change of owner takes bits of the mode away.
  if (!isOwned || (own.mode & 0o7777) !== mode) await onDisk(path, "writing", () => chmod(temporary, mode));
}

/** Has to throw before the first rename, or put everything back. */
async function commit(written: readonly Written[], checkLocks: () => Promise<void>): Promise<void> {
  const parts: Written[] = [];
  for (const part of written) {
    await part.check?.();
    const kept = await keptOf(part);
    if (kept !== undefined && !isSame(kept, part.kept)) await keepOwnerAndMode(part.temporary, kept, part.path);
    parts.push({ ...part, kept });
  }
  // A single file needs no more than its rename, which fails if the temporary file is gone.
  if (parts.length > 1) await touchAll(parts);
  await checkLocks();
  await renameAll(parts);
}

function isSame(a: Kept, b: Kept | undefined): boolean {
  return a.mode === b?.mode && a.uid === b.uid && a.gid === b.gid;
}

/** Makes temporary files young again. @throws MicroLoraError `cannot-write` if one was taken for abandoned and removed */
async function touchAll(written: readonly Written[]): Promise<void> {
  const now = new Date();
  for (const { temporary, path } of written) {
    await utimes(temporary, now, now).catch((cause: unknown) => cannotReplace(path, cause));
  }
}

function cannotReplace(path: string, cause: unknown): never {
  if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw fileError(cause, path, "writing");
  const problem = "cannot be replaced, since its temporary file or its folder is gone";
  throw new MicroLoraError("cannot-write", shownPath(path), problem, "Save it again", { cause });
}

/** Puts the files in their places, the first one last. If one cannot be, those that were get their old files back. */
async function renameAll(parts: readonly Written[]): Promise<void> {
  const undo: (() => Promise<void>)[] = [];
  const copies: string[] = [];
  try {
    for (const { temporary, target, path, kept } of parts.toReversed()) {
      await onDisk(path, "writing", async () => {
        if (kept !== undefined && parts.length > 1) {
          const copy = temporary.replace(/tmp$/, "old");
          await setAside(target, copy);
          copies.push(copy);
          undo.push(() => putBack(copy, target));
        }
        await rename(temporary, target).catch((cause: unknown) => cannotReplace(path, cause));
        if (kept === undefined) undo.push(() => rm(target));
      });
    }
  } catch (error) {
    // One that cannot be put back stays beside its place.
    for (const back of undo.toReversed()) await back().catch(() => {});
    throw error;
  }
  for (const copy of copies) await rm(copy, { force: true }).catch(() => {});
}

/** Gives a file a second name; where there are no hard links, another name. */
async function setAside(target: string, copy: string): Promise<void> {
  await link(target, copy).catch(() => rename(target, copy));
}

async function putBack(copy: string, target: string): Promise<void> {
  await rename(copy, target);
  // A rename between two names of one file leaves both.
  await rm(copy, { force: true });
}

/** Makes a rename last. Where folders cannot be opened or synced (Windows), the file system's journal has to do. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r").catch(() => undefined);
  try {
    await folder?.sync().catch((error: NodeJS.ErrnoException) => {
      if (error.code === "EIO") throw error;
    });
  } finally {
    await folder?.close();
  }
}
