import type { Stats } from "node:fs";
import { constants, lstatSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { access, lstat } from "node:fs/promises";
import { basename, dirname, isAbsolute, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { refuseConfig } from "../base/check.js";
import { type Doing, fileError, onDisk, refusePath } from "./file-error.js";
import type { Place } from "./lock.js";

/** As many links as Linux follows. */
const MAX_LINKS = 40;

/** A path as the caller gave it. @throws MicroLoraError `invalid-config` */
export function pathOf(path: string | URL): string {
  if (typeof path === "string") return path;
  if (path instanceof URL && path.protocol === "file:") return fileURLToPath(path);
  return refuseConfig("path", path, "Pass a string or a file: URL");
}

/**
 * The file that a path stands for, with every symbolic link followed; it need not exist. Two paths of one file have one
 * result. It is found without waiting, so that calls have their order from the moment of the call.
 * @throws MicroLoraError `cannot-read`, `cannot-write` or `no-such-file` for a missing folder, and for what is not a file
 */
export function targetOf(path: string, doing: Doing): string {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found !== undefined) checkKind(found, path, doing);
    if (path.endsWith("/") || path.endsWith(sep)) refusePath(path, doing, "names a folder", "Pass the path of a file");
    return followLinks(path, doing);
  } catch (error) {
    throw fileError(error, path, doing);
  }
}

function followLinks(path: string, doing: Doing): string {
  let at = path;
  for (let links = 0; links < MAX_LINKS; links++) {
    const folder = realpathSync.native(dirname(at));
    const file = join(folder, basename(at));
    if (!lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink()) return file;
    const link = readlinkSync(file);
    // Not joined by `join`, which would take `..` for the folder of a link's name instead of its place.
    at = isAbsolute(link) ? link : `${folder}${sep}${link}`;
  }
  return refusePath(path, doing, "is a symbolic link that leads back to itself", "Remove the link");
}

/** Refuses everything that is not a plain file: a pipe would block, a device or a folder is not to be replaced. */
export function checkKind(found: Stats, path: string, doing: Doing): void {
  if (found.isFile()) return;
  const problem = found.isDirectory()
    ? "is a folder"
    : found.isFIFO()
      ? "is a named pipe"
      : found.isSocket()
        ? "is a socket"
        : found.isSymbolicLink()
          ? "became a symbolic link meanwhile"
          : "is a device";
  refusePath(path, doing, problem, "Pass the path of a file");
}

/** What the new file takes over from the old one. */
export interface Kept {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** What is at a target now: undefined if there is nothing. @throws MicroLoraError `cannot-write` for what is not a file */
export async function keptOf({ target, path }: Place): Promise<Kept | undefined> {
  const found = await onDisk(path, "writing", () =>
    lstat(target).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    }),
  );
  if (found === undefined) return undefined;
  checkKind(found, path, "writing");
  return { mode: found.mode & 0o7777, uid: found.uid, gid: found.gid };
}

/** Refuses a file that may not be written: a rename asks the folder alone, and would replace it. */
export async function checkWritable({ target, path }: Place): Promise<void> {
  await onDisk(path, "writing", () => access(target, constants.W_OK));
}
