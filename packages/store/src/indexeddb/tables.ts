import { type DBSchema, type IDBPDatabase, type IDBPTransaction, openDB } from "idb";
import { StoreError } from "../base/errors.js";
import type { Snapshot, StoredEvent } from "../contract/store.js";

export interface UserRow {
  readonly id: number;
  readonly tenant: string;
  readonly user: string;
  readonly start: number;
  readonly seq: number;
  readonly updated: number;
  /** Makes fingerprints of sources worthless once the row is erased. */
  readonly secret: Uint8Array;
}

export interface IdRow {
  readonly user: number;
  readonly seq: number;
  readonly time: number;
  readonly print: Uint8Array;
  readonly answer: string;
}

/** A row with the SHA-256 of its fields, the first 16 bytes. */
export type Sealed<Row> = Row & { readonly sum: Uint8Array };

/**
 * The tables. Hashes are strings in base 16.
 *
 * - `users` by number; the index `names` by tenant and name.
 * - `tombstones`: the seq at which the log of an erased user stays closed, by a hash of tenant and name.
 * - `events` by number of the user and seq.
 * - `ids`: event ids that are taken, by a hash of tenant and id; they outlive the events.
 * - `snapshots` by number of the user and seq.
 * - `meta`: the salt of all hashes, and the number that the next user gets; no number is given twice.
 */
export interface Tables extends DBSchema {
  users: { key: number; value: Sealed<UserRow>; indexes: { names: [string, string] } };
  tombstones: { key: string; value: number };
  events: { key: [number, number]; value: Sealed<StoredEvent> };
  ids: { key: string; value: IdRow; indexes: { times: number } };
  snapshots: { key: [number, number]; value: Sealed<Snapshot> };
  meta: { key: "salt" | "next user"; value: Uint8Array | number };
}

export type Database = IDBPDatabase<Tables>;
export type TableName = (typeof TABLE_NAMES)[number];
export type Change = IDBPTransaction<Tables, TableName[], "readwrite">;

export const TABLE_NAMES = ["users", "tombstones", "events", "ids", "snapshots", "meta"] as const;
const VERSION = 1;

/** Opens the database, or makes it. @throws StoreError `unsupported-version`, `io-error` */
export async function openTables(name: string): Promise<Database> {
  try {
    return await openDB<Tables>(name, VERSION, {
      upgrade(database) {
        database
          .createObjectStore("users", { keyPath: "id" })
          .createIndex("names", ["tenant", "user"], { unique: true });
        database.createObjectStore("tombstones");
        database.createObjectStore("events");
        database.createObjectStore("ids").createIndex("times", "time");
        database.createObjectStore("snapshots");
        database.createObjectStore("meta");
      },
    });
  } catch (error) {
    if ((error as Error).name === "VersionError") {
      const problem = "was written by a newer version of this program";
      throw new StoreError("unsupported-version", name, problem, "Reload the page", { cause: error });
    }
    throw new StoreError("io-error", name, "cannot be opened", "Allow this site to store data", { cause: error });
  }
}

/** A transaction over all tables that is on disk once it is done. */
export function change(database: Database): Change {
  return database.transaction([...TABLE_NAMES], "readwrite", { durability: "strict" });
}

/** An error of IndexedDB as one of ours. */
export function storeErrorOf(error: unknown, name: string): unknown {
  if (error instanceof StoreError) return error;
  const cause = { cause: error };
  switch ((error as Error | undefined)?.name) {
    case "QuotaExceededError":
      return new StoreError("disk-full", name, "the browser grants no more room", "Make room, and try again", cause);
    case "InvalidStateError":
      return new StoreError("closed", name, "the browser closed it", "Open it again", cause);
    case "AbortError":
    case "UnknownError":
    case "DataError":
      return new StoreError("io-error", name, "the browser could not read or write", "Try again", cause);
    default:
      return error;
  }
}
