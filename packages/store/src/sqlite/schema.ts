import { StoreError } from "../base/errors.js";
import type { SqliteDatabase } from "./driver.js";

/** "MLOR" in ASCII: what this file is, by https://sqlite.org/fileformat.html#application_id. */
const APPLICATION_ID = 0x4d4c4f52;

/**
 * Steps from one version of the schema to the next; each is one transaction, and a file says in `user_version` how many it has seen.
 *
 * - `user`: one row for each user who is there. `secret` makes fingerprints of sources that are worthless once the row is erased.
 * - `subject`: a hash of each user who is there or was, and so a tombstone without a name.
 * - `event`: the log. Rows of one user lie together: row = user << 32 | seq.
 * - `id`: hashes of event ids, which outlive the events.
 * - `snapshot`: two slots a user: row = user << 1 | slot. A slot is written over in place, which frees no pages.
 * - `tally`: one row that each commit counts in.
 */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE user (
    id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, name TEXT NOT NULL, start INTEGER NOT NULL, seq INTEGER NOT NULL,
    updated INTEGER NOT NULL, secret BLOB NOT NULL, crc INTEGER NOT NULL, UNIQUE (tenant, name)
  ) STRICT;
  CREATE TABLE subject (
    hash BLOB PRIMARY KEY, user INTEGER, seq INTEGER NOT NULL, crc INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE event (
    row INTEGER PRIMARY KEY, seq INTEGER NOT NULL, id TEXT NOT NULL, time INTEGER NOT NULL, kind TEXT NOT NULL, kernels TEXT NOT NULL,
    version TEXT NOT NULL, payload BLOB NOT NULL, source BLOB NOT NULL, answer TEXT NOT NULL, crc INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE id (
    hash BLOB PRIMARY KEY, user INTEGER NOT NULL, seq INTEGER NOT NULL, time INTEGER NOT NULL, print BLOB NOT NULL,
    answer TEXT NOT NULL, crc INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE snapshot (row INTEGER PRIMARY KEY, seq INTEGER NOT NULL, bytes BLOB NOT NULL, crc INTEGER NOT NULL) STRICT;
  CREATE TABLE tally (
    one INTEGER PRIMARY KEY CHECK (one = 1), salt BLOB NOT NULL, commits INTEGER NOT NULL, users INTEGER NOT NULL,
    ids INTEGER NOT NULL, crc INTEGER NOT NULL
  ) STRICT;
  `,
];

/** What every connection must hold, and is asked for after it was set. */
const SETTINGS: readonly { readonly name: string; readonly set: string; readonly holds: string | number }[] = [
  { name: "locking_mode", set: "EXCLUSIVE", holds: "exclusive" },
  { name: "journal_mode", set: "WAL", holds: "wal" },
  { name: "synchronous", set: "FULL", holds: 2 },
  { name: "secure_delete", set: "ON", holds: 1 },
  { name: "fullfsync", set: "ON", holds: 1 },
  { name: "checkpoint_fullfsync", set: "ON", holds: 1 },
  { name: "trusted_schema", set: "OFF", holds: 0 },
  { name: "cell_size_check", set: "ON", holds: 1 },
];

/**
 * Settings without which an acknowledged event could be lost, or an erased one found; SQLite ignores a pragma that it does not know, so each
 * is read back. @throws StoreError `io-error`
 */
export function setUp(database: SqliteDatabase, path: string): void {
  for (const { name, set, holds } of SETTINGS) {
    database.exec(`PRAGMA ${name} = ${set}`);
    const value = pragma(database, name);
    if (value === holds) continue;
    throw new StoreError("io-error", path, `${name} is ${value}, not ${holds}`, "Put the store on a local disk");
  }
}

/**
 * Gives the lock back. `@photostructure/sqlite` closes a connection only when its statements are collected as garbage, and the lock would
 * stay until then. Where it fails, what is stored stays in the write-ahead log, and the next process reads it there.
 */
export function release(database: SqliteDatabase): void {
  try {
    database.exec("PRAGMA journal_mode = DELETE; PRAGMA locking_mode = NORMAL; SELECT count(*) FROM sqlite_schema");
  } catch {
    // The process that ends gives the lock back in any case.
  }
}

/** Brings a file to the newest version of the schema. @throws StoreError `not-a-store`, `unsupported-version` */
export function migrate(database: SqliteDatabase, path: string): void {
  const version = Number(pragma(database, "user_version"));
  const application = Number(pragma(database, "application_id"));
  if (application !== APPLICATION_ID && !(application === 0 && isEmpty(database))) {
    throw new StoreError("not-a-store", path, "is a database of another program", "Name another file");
  }
  if (version > MIGRATIONS.length) {
    const problem = `has version ${version}, and this program reads up to ${MIGRATIONS.length}`;
    throw new StoreError("unsupported-version", path, problem, "Use the program that wrote it, or a newer one");
  }
  for (const [step, sql] of MIGRATIONS.entries()) {
    if (step < version) continue;
    database.exec(
      `BEGIN IMMEDIATE; ${sql} PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${step + 1}; COMMIT`,
    );
  }
}

function isEmpty(database: SqliteDatabase): boolean {
  return Number(Object.values(database.prepare("SELECT count(*) FROM sqlite_schema").get() as object)[0]) === 0;
}

function pragma(database: SqliteDatabase, name: string): unknown {
  const row = database.prepare(`PRAGMA ${name}`).get() as object | undefined;
  return row === undefined ? undefined : Object.values(row)[0];
}
