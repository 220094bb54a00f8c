import { closeSync, existsSync, fstatSync, openSync, readSync } from "node:fs";

/** Places in the first 100 bytes of a database, and sizes in a write-ahead log: "Database File Format" of SQLite, sections 1.3 and 4.1. */
const HEADER = { bytes: 100, pageSize: 16, pages: 28 };
const MAGIC = "SQLite format 3\0";
const LOG = { headerBytes: 32, salt: 16, frameBytes: 24, frameSalt: 8, saltBytes: 8 };

/**
 * Pages that a database counts and that neither its file nor its write-ahead log holds. SQLite reads a page beyond the end of a file that
 * was cut as zeros, in which a list of rows may pass for an empty one.
 */
export function missingPages(path: string): number {
  if (!existsSync(path)) return 0;
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    const header = read(file, HEADER.bytes, 0);
    if (header.length < HEADER.bytes || header.toString("latin1", 0, MAGIC.length) !== MAGIC) return 0;
    // A size of 1 stands for 65,536.
    const pageSize = header.readUInt16BE(HEADER.pageSize) === 1 ? 65536 : header.readUInt16BE(HEADER.pageSize);
    const whole = Math.floor(size / pageSize);
    const pages = header.readUInt32BE(HEADER.pages);
    if (whole >= pages) return 0;
    const logged = [...pagesInLog(`${path}-wal`, pageSize)].filter((page) => page > whole && page <= pages);
    return pages - whole - logged.length;
  } finally {
    closeSync(file);
  }
}

/** Pages of the frames that belong to the log as it is, which carry its salt. */
function pagesInLog(path: string, pageSize: number): ReadonlySet<number> {
  const pages = new Set<number>();
  if (!existsSync(path)) return pages;
  const file = openSync(path, "r");
  try {
    const salt = read(file, LOG.saltBytes, LOG.salt);
    for (let at = LOG.headerBytes; ; at += LOG.frameBytes + pageSize) {
      const frame = read(file, LOG.frameBytes, at);
      if (frame.length < LOG.frameBytes || !frame.subarray(LOG.frameSalt, LOG.frameSalt + LOG.saltBytes).equals(salt))
        break;
      pages.add(frame.readUInt32BE(0));
    }
    return pages;
  } finally {
    closeSync(file);
  }
}

/** Bytes of a file from a place on, fewer at its end. */
function read(file: number, length: number, at: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(file, bytes, 0, length, at));
}
