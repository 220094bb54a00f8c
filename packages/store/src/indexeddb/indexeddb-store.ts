/** Users' states in the browser. */
import { corrupt, StoreError } from "../base/errors.js";
import { BatchOrder } from "../contract/batch-order.js";
import { checkBatch, checkBytes, checkSeq, checkTime, pageSize } from "../contract/check.js";
import type { TenantId, UserKey } from "../contract/keys.js";
import { refuseClosed, refuseCompacted, refuseSeq } from "../contract/refusals.js";
import type {
  AppendOutcome,
  Compacted,
  CompactOptions,
  ErasureReceipt,
  LoadedUser,
  LoadOptions,
  NewEvent,
  Store,
  StoredEvent,
  UserPage,
} from "../contract/store.js";
import { Append, findId, type Taken } from "./append.js";
import { sealEvent, sealSnapshot, unseal } from "./seals.js";
import { change, type Database, openTables, storeErrorOf, TABLE_NAMES, type UserRow } from "./tables.js";
import { findUser, nameHashOf, pageOf, snapshotsOf } from "./users.js";

/** Options of the IndexedDB store. */
export interface IndexedDbOptions {
  /** Whether to wait for the tab that has the store open; by default the second tab is refused. */
  readonly wait?: boolean;
  /** The lock manager; `navigator.locks` by default. */
  readonly locks?: Pick<LockManager, "request">;
}

interface Waiting {
  readonly batch: readonly NewEvent[];
  readonly resolve: (outcomes: AppendOutcome[]) => void;
  readonly reject: (error: unknown) => void;
}

const SALT_BYTES = 16;
const CHUNK = 256;
/** IndexedDB sorts numbers up to this one behind all seqs. */
const LAST = Number.POSITIVE_INFINITY;

/**
 * Opens an IndexedDB database as a store, or makes one. One tab at a time has it open, by a Web Lock; a write is fulfilled when it is on disk.
 * @throws StoreError `in-use` while another tab has it open, `unsupported-version`, `io-error`
 */
export async function openIndexedDbStore(name: string, options: IndexedDbOptions = {}): Promise<Store> {
  const unlock = await lock(name, options);
  try {
    const database = await openTables(name);
    return new IndexedDbStore(name, database, await saltOf(database), unlock);
  } catch (error) {
    unlock();
    throw storeErrorOf(error, name);
  }
}

class IndexedDbStore implements Store {
  readonly #name: string;
  readonly #database: Database;
  readonly #salt: Uint8Array;
  readonly #unlock: () => void;
  #waiting: Waiting[] = [];
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(name: string, database: Database, salt: Uint8Array, unlock: () => void) {
    this.#name = name;
    this.#database = database;
    this.#salt = salt;
    this.#unlock = unlock;
  }

  async append(batch: readonly NewEvent[]): Promise<AppendOutcome[]> {
    this.#checkOpen();
    checkBatch(batch);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ batch, resolve, reject });
      if (this.#waiting.length === 1) void this.#exclusive(() => this.#appendWaiting());
    });
  }

  /** Appends all batches that wait in one transaction. */
  async #appendWaiting(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = [];
    try {
      const next = (await this.#database.get("meta", "next user")) as number | undefined;
      const append = new Append(this.#database, this.#salt, next ?? 1);
      const all: AppendOutcome[][] = [];
      for (const { batch } of waiting) {
        const order = new BatchOrder();
        const outcomes: AppendOutcome[] = [];
        for (const event of batch) {
          const outcome = await outcomeOf(append.add(event, order.mayAppend(event)));
          order.note(event, outcome);
          outcomes.push(outcome);
        }
        all.push(outcomes);
      }
      await append.write();
      for (const [i, { resolve }] of waiting.entries()) resolve(all[i]!);
    } catch (error) {
      for (const { reject } of waiting) reject(storeErrorOf(error, this.#name));
    }
  }

  find(key: UserKey, id: string, source: Uint8Array): Promise<Taken | null> {
    return this.#exclusive(() => findId(this.#database, this.#salt, key, id, source));
  }

  load(key: UserKey, options: LoadOptions = {}): Promise<LoadedUser> {
    return this.#exclusive(async () => {
      const { row, start } = await findUser(this.#database, this.#salt, key);
      const last = row?.seq ?? start;
      const seq = options.at ?? last;
      if (seq < start || seq > last) throw refuseSeq(key, seq, start, last);
      if (row === null) return { seq, start, snapshot: null, events: [] };
      const before = Math.min(options.snapshotBefore ?? LAST, seq + 1);
      const { whole, damaged } = await snapshotsOf(this.#database, row);
      const snapshot = whole.find((each) => each.seq < before) ?? null;
      const first = (snapshot?.seq ?? start) + 1;
      const events = await this.#events(row, first, seq);
      if (events.length === seq - first + 1) return { seq, start, snapshot, events };
      if (!damaged && whole.length === 2 && events[0]?.seq !== first) throw refuseCompacted(key, first);
      throw corrupt(`user ${key.user}`, `events from ${first} on are missing`);
    });
  }

  snapshot(key: UserKey, seq: number, bytes: Uint8Array): Promise<boolean> {
    return this.#exclusive(async () => {
      checkSeq(seq, "seq");
      checkBytes(bytes, "snapshot");
      const { row } = await findUser(this.#database, this.#salt, key);
      if (row === null || seq <= row.start || seq > row.seq) return false;
      const { whole } = await snapshotsOf(this.#database, row);
      if (whole.some((each) => each.seq >= seq)) return false;
      const sealed = await sealSnapshot(row.id, { seq, bytes: bytes.slice() });
      const transaction = change(this.#database);
      const table = transaction.objectStore("snapshots");
      for (const old of await table.getAllKeys(rangeOf(row))) {
        if (old[1] !== whole[0]?.seq) await table.delete(old);
      }
      await table.put(sealed, [row.id, seq]);
      await transaction.done;
      return true;
    });
  }

  erase(key: UserKey): Promise<ErasureReceipt> {
    return this.#exclusive(async () => {
      const { row, start } = await findUser(this.#database, this.#salt, key);
      if (row === null) return { existed: false, seq: start, events: 0, snapshots: 0, remains: [] };
      const hash = await nameHashOf(this.#salt, key);
      const transaction = change(this.#database);
      const counts = { events: 0, snapshots: 0 };
      for (const name of ["events", "snapshots"] as const) {
        counts[name] = await transaction.objectStore(name).count(rangeOf(row));
        await transaction.objectStore(name).delete(rangeOf(row));
      }
      await transaction.objectStore("users").delete(row.id);
      await transaction.objectStore("tombstones").put(row.seq + 1, hash);
      await transaction.done;
      const remains = ["the browser's own files, until it compacts them"];
      return { existed: true, seq: row.seq + 1, ...counts, remains };
    });
  }

  async *export(key: UserKey): AsyncIterable<StoredEvent> {
    for (let next = 1; ; ) {
      const events = await this.#exclusive(async () => {
        const { row } = await findUser(this.#database, this.#salt, key);
        return row === null ? [] : this.#events(row, next, row.seq, CHUNK);
      });
      if (events.length === 0) return;
      yield* events;
      next = events.at(-1)!.seq + 1;
    }
  }

  users(tenant: TenantId, page: { cursor?: string; limit?: number } = {}): Promise<UserPage> {
    return this.#exclusive(async () => {
      const limit = pageSize(page.limit);
      const found = await pageOf(this.#database, tenant, page.cursor ?? "", limit + 1);
      const users = found.slice(0, limit);
      return { users, cursor: found.length > limit ? users.at(-1)!.user : null };
    });
  }

  compact({ eventsBefore, idsBefore }: CompactOptions): Promise<Compacted> {
    return this.#exclusive(async () => {
      checkTime(eventsBefore, "eventsBefore");
      checkTime(idsBefore, "idsBefore");
      let events = 0;
      for (const user of await this.#database.getAll("users")) events += await this.#compactUser(user, eventsBefore);
      const transaction = change(this.#database);
      const old = await transaction
        .objectStore("ids")
        .index("times")
        .getAllKeys(IDBKeyRange.upperBound(idsBefore, true));
      for (const hash of old) await transaction.objectStore("ids").delete(hash);
      await transaction.done;
      return { events, ids: old.length };
    });
  }

  async #compactUser(user: UserRow, before: number): Promise<number> {
    const [, older] = (await snapshotsOf(this.#database, user)).whole;
    if (older === undefined) return 0;
    const transaction = change(this.#database);
    const table = transaction.objectStore("events");
    let removed = 0;
    for (let cursor = await table.openCursor(rangeOf(user, 0, older.seq)); cursor !== null; removed++) {
      if (cursor.value.time >= before) break;
      await cursor.delete();
      cursor = await cursor.continue();
    }
    await transaction.done;
    return removed;
  }

  /** Copies all tables into another database, in one transaction each. */
  backup(to: string): Promise<void> {
    return this.#exclusive(async () => {
      const copy = await openTables(to);
      try {
        if ((await copy.count("meta")) > 0)
          throw new StoreError("invalid-argument", to, "is there already", "Name a new one");
        const source = this.#database.transaction([...TABLE_NAMES]);
        const rows = await Promise.all(
          TABLE_NAMES.map(async (name) => {
            const table = source.objectStore(name);
            const [keys, values] = await Promise.all([table.getAllKeys(), table.getAll()]);
            return { name, rows: values.map((value, i) => ({ key: keys[i]!, value })) };
          }),
        );
        const target = change(copy);
        for (const { name, rows: each } of rows) {
          const table = target.objectStore(name) as unknown as IDBObjectStore;
          for (const { key, value } of each) table.put(value, table.keyPath === null ? key : undefined);
        }
        await target.done;
      } finally {
        copy.close();
      }
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#last;
    this.#database.close();
    this.#unlock();
  }

  /** The events of a range that are there, each checked. @throws StoreError `corrupt-store` */
  async #events(user: UserRow, first: number, last: number, count?: number): Promise<StoredEvent[]> {
    if (last < first) return [];
    const rows = await this.#database.getAll("events", rangeOf(user, first, last), count);
    const where = `events of ${user.user}`;
    return Promise.all(rows.map((row) => unseal<StoredEvent>(row, (each) => sealEvent(user.id, each), where)));
  }

  /** Runs one thing at a time, in the order of the calls. */
  async #exclusive<Value>(run: () => Promise<Value>): Promise<Value> {
    this.#checkOpen();
    const result = this.#last.then(run);
    this.#last = result.catch(() => {});
    try {
      return await result;
    } catch (error) {
      throw storeErrorOf(error, this.#name);
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw refuseClosed();
  }
}

/** Takes the lock of a database. @returns what gives it back */
async function lock(name: string, { wait = false, locks = navigator.locks }: IndexedDbOptions): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const held = locks.request(`microlora store ${name}`, { ifAvailable: !wait }, (granted) => {
      if (granted === null) {
        throw new StoreError("in-use", name, "another tab has it open", "Close that one, or pass `wait: true`");
      }
      return new Promise<void>((unlock) => resolve(unlock));
    });
    held.catch(reject);
  });
}

async function saltOf(database: Database): Promise<Uint8Array> {
  const known = await database.get("meta", "salt");
  if (known instanceof Uint8Array) return known;
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
  await database.put("meta", salt, "salt");
  return salt;
}

function rangeOf({ id }: UserRow, first = 0, last = LAST): IDBKeyRange {
  return IDBKeyRange.bound([id, first], [id, last]);
}

async function outcomeOf(outcome: Promise<AppendOutcome>): Promise<AppendOutcome> {
  try {
    return await outcome;
  } catch (error) {
    if (error instanceof StoreError) return { status: "error", error };
    throw error;
  }
}
