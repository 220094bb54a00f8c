import { corrupt, StoreError } from "../base/errors.js";

/** The primary result codes of SQLite that mean something to a caller (https://sqlite.org/rescode.html). */
const BUSY = 5;
const LOCKED = 6;
const READ_ONLY = 8;
const IO_ERROR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANNOT_OPEN = 14;
const NOT_A_DATABASE = 26;

/** An error of SQLite as one of ours; what is not SQLite's is given back as it is. */
export function storeErrorOf(error: unknown, path: string): unknown {
  if (error instanceof StoreError) return error;
  if (isOutOfRange(error)) return corrupt(path, "a number is larger than any that was written");
  const code = resultCode(error);
  if (code === undefined) return error;
  const said = (error as Error).message;
  const cause = { cause: error };
  switch (code & 0xff) {
    case BUSY:
    case LOCKED:
      return new StoreError("in-use", path, "another process has it open", "Stop that one, or use another file", cause);
    case FULL:
      return new StoreError("disk-full", path, "there is no room on the disk", "Make room, and try again", cause);
    case IO_ERROR:
    case READ_ONLY:
    case CANNOT_OPEN:
      return new StoreError(
        "io-error",
        path,
        `SQLite says "${said}"`,
        "See to the disk and the rights, try again",
        cause,
      );
    case NOT_A_DATABASE:
      return new StoreError("not-a-store", path, "is not a database", "Name another file", cause);
    case CORRUPT:
      return corrupt(path, `SQLite says "${said}"`);
    default:
      return corrupt(path, `SQLite says "${said}" (${code})`);
  }
}

/** Drivers refuse integers that JavaScript has no number for, and we write none. */
function isOutOfRange(error: unknown): boolean {
  return (error as { code?: unknown }).code === "ERR_OUT_OF_RANGE";
}

/** `@photostructure/sqlite` leaves the code out of some errors; SQLite's messages are as fixed as its codes. */
const CODES_BY_MESSAGE: ReadonlyMap<string, number> = new Map([
  ["database is locked", BUSY],
  ["attempt to write a readonly database", READ_ONLY],
  ["disk I/O error", IO_ERROR],
  ["database or disk is full", FULL],
  ["unable to open database file", CANNOT_OPEN],
  ["file is not a database", NOT_A_DATABASE],
]);

function resultCode(error: unknown): number | undefined {
  const { code, errcode, message } = error as { code?: unknown; errcode?: unknown; message: string };
  if (code !== "ERR_SQLITE_ERROR") return undefined;
  return typeof errcode === "number" ? errcode : (CODES_BY_MESSAGE.get(message) ?? CORRUPT);
}
