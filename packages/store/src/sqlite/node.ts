/** Users' states in a SQLite file, in Node. */
import { createHash, randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { corrupt, StoreError } from "../base/errors.js";
import type { Store } from "../contract/store.js";
import type { CommitWitness, SqliteDatabase } from "./driver.js";
import { missingPages } from "./length.js";
import { SqliteStore } from "./sqlite-store.js";
import { decodeSlots, encodeSlot, SLOT_BYTES, WITNESS_BYTES } from "./witness.js";

export type { SqliteStore } from "./sqlite-store.js";

type Connection = SqliteDatabase & { backup?(path: string): Promise<unknown> };
interface Driver {
  readonly DatabaseSync: new (path: string) => Connection;
  readonly backup?: (source: Connection, path: string) => Promise<unknown>;
}

/**
 * Opens a SQLite file as a store, or makes one. Beside it lies `PATH.witness`, which counts commits. One process at a time has a file open.
 * It uses `node:sqlite` on Node 22.13 and later, and `@photostructure/sqlite`, which you install, on Node 20.
 * @throws StoreError `driver-missing`, `in-use`, `not-a-store`, `unsupported-version`, `corrupt-store`, `lost-commits`, `io-error`
 */
export async function openSqliteStore(path: string): Promise<SqliteStore> {
  const driver = await loadDriver();
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true });
  const missing = missingPages(path);
  if (missing > 0) throw corrupt(path, `the file was cut: ${missing} of its pages are not there`);
  const database = openDatabase(driver, path);
  const store = SqliteStore.open({
    database,
    path,
    witness: openWitness(`${path}.witness`),
    crc32,
    hash: (bytes) => createHash("sha256").update(bytes).digest().subarray(0, 16),
    randomBytes: (count) => new Uint8Array(randomBytes(count)),
    defer: setImmediate,
    backup: (to) => backUp(driver, database, to),
  });
  syncFolder(folder);
  return store;
}

/** Reports a second process at once: SQLite would do so at its first read only. */
function openDatabase({ DatabaseSync }: Driver, path: string): Connection {
  try {
    return new DatabaseSync(path);
  } catch (error) {
    throw new StoreError("io-error", path, "cannot be opened", "See to the path and the rights", { cause: error });
  }
}

async function loadDriver(): Promise<Driver> {
  const { getBuiltinModule } = process as { getBuiltinModule?: (name: string) => Driver | undefined };
  const builtIn = getBuiltinModule?.("node:sqlite");
  if (builtIn !== undefined) return builtIn;
  try {
    return (await import("@photostructure/sqlite")) as unknown as Driver;
  } catch (error) {
    const remedy = "Run `npm install @photostructure/sqlite@1`, or use Node 22.13 or later";
    throw new StoreError("driver-missing", "SQLite", "is not in this version of Node", remedy, { cause: error });
  }
}

/** Copies a database beside the place, and puts it there once it is whole and on disk. */
async function backUp(driver: Driver, database: Connection, to: string): Promise<void> {
  if (existsSync(to)) throw new StoreError("invalid-argument", to, "is there already", "Name a new file");
  const unfinished = `${to}.${process.pid}.part`;
  try {
    if (driver.backup !== undefined) await driver.backup(database, unfinished);
    else database.prepare("VACUUM INTO ?").run(unfinished);
    const file = openSync(unfinished, "r+");
    fsyncSync(file);
    closeSync(file);
    renameSync(unfinished, to);
    syncFolder(dirname(to));
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  }
}

/** Without this, a file that was just made may be gone after a power cut. Windows cannot open folders, and does it by itself. */
function syncFolder(folder: string): void {
  if (process.platform === "win32") return;
  const handle = openSync(folder, "r");
  fsyncSync(handle);
  closeSync(handle);
}

function openWitness(path: string): CommitWitness {
  const file = openSync(path, existsSync(path) ? "r+" : "w+");
  return {
    read() {
      const bytes = new Uint8Array(WITNESS_BYTES);
      return decodeSlots(bytes.subarray(0, readSync(file, bytes, 0, WITNESS_BYTES, 0)), crc32);
    },
    write(commits) {
      try {
        writeSync(file, encodeSlot(commits, crc32), 0, SLOT_BYTES, (commits % 2) * SLOT_BYTES);
      } catch {
        // The commit is on disk; the witness is a second line, and the next commit writes it again.
      }
    },
    close: () => closeSync(file),
  };
}

/** The whole contract, for callers who need no more than that. */
export type { Store };
