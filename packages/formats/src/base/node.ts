import { type FileHandle, open, stat } from "node:fs/promises";
import { FormatError } from "./errors.js";
import { LOOKALIKE_BYTES, type LookalikeKind, refuseLookalike } from "./lookalikes.js";

/** What the system's own words mean for a path that is read, and for one that is written. */
const MEANINGS: Readonly<Record<string, { readonly reading: string; readonly writing: string }>> = {
  EACCES: { reading: "may not be read", writing: "may not be written" },
  EEXIST: { reading: "exists", writing: "lies below something that is no folder" },
  EISDIR: { reading: "is a folder", writing: "is a folder" },
  ELOOP: { reading: "is a link that leads back to itself", writing: "is a link that leads back to itself" },
  ENAMETOOLONG: { reading: "is too long a name", writing: "is too long a name" },
  ENOENT: { reading: "does not exist", writing: "lies in a folder that does not exist" },
  ENOSPC: { reading: "lies on a full disk", writing: "does not fit onto the disk" },
  ENOTDIR: { reading: "lies below something that is no folder", writing: "lies below something that is no folder" },
  EPERM: { reading: "may not be read", writing: "may not be written" },
  EROFS: { reading: "may not be read", writing: "lies on a disk that may only be read" },
};

/** What the file system says of a path, as our own error; anything else stays what it is. */
export function fileError(cause: unknown, path: string, doing: "reading" | "writing"): unknown {
  if (!(cause instanceof Error && "syscall" in cause)) return cause;
  const { code = "no reason" } = cause as NodeJS.ErrnoException;
  const problem = MEANINGS[code]?.[doing] ?? `cannot be ${doing === "reading" ? "read" : "written"} (${code})`;
  const remedy = doing === "reading" ? "Check the path and its permissions" : "Choose a place that can be written";
  const place = path === "" ? '""' : path;
  return new FormatError(doing === "reading" ? "cannot-read" : "cannot-write", place, problem, remedy, { cause });
}

/** Runs what reads or writes a path. @throws FormatError `cannot-read` or `cannot-write` for what the file system refuses */
export async function onDisk<T>(path: string, doing: "reading" | "writing", action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    throw fileError(cause, path, doing);
  }
}

/** Whether a path is a file or a folder; a pipe or a device, which may never end, is neither. @throws FormatError `cannot-read` */
export async function kindOfPath(path: string): Promise<"file" | "folder"> {
  const found = await onDisk(path, "reading", () => stat(path));
  if (found.isDirectory()) return "folder";
  if (found.isFile()) return "file";
  throw new FormatError("cannot-read", path, "is a pipe or a device", "Pass a file");
}

/** Opens a file. @throws FormatError `cannot-read` */
export async function openFile(path: string): Promise<FileHandle> {
  if ((await kindOfPath(path)) === "folder") {
    throw new FormatError("cannot-read", path, "is a folder", "Pass a file");
  }
  return onDisk(path, "reading", () => open(path, "r"));
}

/**
 * Refuses to write where something is already, unless it is a file that may be written over.
 * @throws FormatError `cannot-write`
 */
export async function checkOutputs(paths: readonly string[], overwrite: boolean): Promise<void> {
  for (const path of paths) {
    const found = await stat(path).catch(() => undefined);
    if (found === undefined || (overwrite && found.isFile())) continue;
    const problem = found.isFile() ? "exists already" : found.isDirectory() ? "is a folder" : "is a pipe or a device";
    const remedy = found.isFile()
      ? "Choose another name, or allow overwriting (`overwrite: true`, --force of the command)"
      : "Choose another name";
    throw new FormatError("cannot-write", path, problem, remedy);
  }
}

/** Refuses a file that is a Git LFS pointer, an HTML page, or of another kind by its first bytes. @throws FormatError */
export async function refuseLookalikeFile(path: string, expected?: LookalikeKind): Promise<void> {
  await using file = await openFile(path);
  const start = new Uint8Array(LOOKALIKE_BYTES);
  const { bytesRead } = await onDisk(path, "reading", () => file.read(start, 0, start.length, 0));
  refuseLookalike(start.subarray(0, bytesRead), "file", expected);
}

/** Also true where it cannot be told: then whoever uses the path is told why. */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    ({ code }: NodeJS.ErrnoException) => code !== "ENOENT",
  );
}

/** Bytes that Node reads at once. */
const MAX_BYTES = 2 ** 31 - 1;

/** Reads a file whole. @throws FormatError `cannot-read`, `too-large` from 2 GiB */
export async function readWhole(path: string): Promise<Uint8Array> {
  await using file = await openFile(path);
  const { size } = await file.stat();
  if (size > MAX_BYTES) {
    throw new FormatError("too-large", path, `has ${size} bytes, more than an adapter has`, "Pass an adapter's file");
  }
  return onDisk(path, "reading", () => file.readFile());
}
