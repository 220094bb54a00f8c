import { MicroLoraError } from "../base/errors.js";

/** What was being done to a file when the system refused. */
export type Doing = "reading" | "writing";

interface Meaning {
  readonly problem: string | { readonly [D in Doing]: string };
  readonly remedy: string;
}

const FORBIDDEN: Meaning = {
  problem: { reading: "may not be read", writing: "may not be written" },
  remedy: "Change the permissions of the file or of its folder, or run as another user",
};
const NO_SPACE: Meaning = { problem: "does not fit onto the disk", remedy: "Free some space" };
const TOO_MANY_OPEN: Meaning = {
  problem: "cannot be opened, since too many files are open",
  remedy: "Do less at once, or raise the system's limit of open files",
};

/** What the system's error codes mean for a path. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  EACCES: FORBIDDEN,
  EBUSY: {
    problem: "is in use, or is a mount point of its own",
    remedy: "Close the program that uses it, or mount its folder instead of the file",
  },
  EDQUOT: NO_SPACE,
  EISDIR: { problem: "is a folder", remedy: "Pass the path of a file" },
  ELOOP: { problem: "is a symbolic link that leads back to itself", remedy: "Remove the link" },
  EMFILE: TOO_MANY_OPEN,
  ENAMETOOLONG: { problem: "is longer than this file system allows", remedy: "Choose a shorter name" },
  ENFILE: TOO_MANY_OPEN,
  ENOENT: {
    problem: { reading: "does not exist", writing: "lies in a folder that does not exist" },
    remedy: "Check the path, and make the folder first",
  },
  ENOSPC: NO_SPACE,
  ENOTDIR: { problem: "lies below something that is not a folder", remedy: "Check the path" },
  EPERM: FORBIDDEN,
  EROFS: { problem: "lies on a disk that may only be read", remedy: "Choose another place" },
  ERR_FS_FILE_TOO_LARGE: { problem: "is larger than 2 GiB", remedy: "Check the path: no state is that large" },
  ERR_INVALID_ARG_VALUE: { problem: "holds a zero byte", remedy: "Check the path" },
};

/** The typed error for an error of the file system, which stays its `cause`; any other error as it is. */
export function fileError(cause: unknown, path: string, doing: Doing): unknown {
  if (!(cause instanceof Error && "code" in cause) || cause instanceof MicroLoraError) return cause;
  const code = String(cause.code);
  if (code === "ENOENT" && doing === "reading") {
    const remedy = "Check the path, or create a new state if there is none yet";
    return new MicroLoraError("no-such-file", shownPath(path), "does not exist", remedy, { cause });
  }
  const { problem, remedy } = MEANINGS[code] ?? {
    problem: { reading: `cannot be read (${code})`, writing: `cannot be written (${code})` },
    remedy: "Check the path and the disk",
  };
  const text = typeof problem === "string" ? problem : problem[doing];
  return new MicroLoraError(codeOf(doing), shownPath(path), text, remedy, { cause });
}

/** Runs file system calls on a path. @throws MicroLoraError `cannot-read`, `cannot-write` or `no-such-file` */
export async function onDisk<T>(path: string, doing: Doing, action: () => T | Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    throw fileError(cause, path, doing);
  }
}

/** Refuses a path for what it is. @throws MicroLoraError `cannot-read` or `cannot-write` */
export function refusePath(path: string, doing: Doing, problem: string, remedy: string): never {
  throw new MicroLoraError(codeOf(doing), shownPath(path), problem, remedy);
}

function codeOf(doing: Doing): "cannot-read" | "cannot-write" {
  return doing === "reading" ? "cannot-read" : "cannot-write";
}

/** A path as a message shows it: not endless, and without characters that move a terminal's cursor. */
export function shownPath(path: string): string {
  const short = path.length > 300 ? `…${path.slice(-300)}` : path;
  return short === "" ? '""' : short.replace(/\p{C}/gu, "\ufffd");
}
