import { corrupt, StoreError } from "../base/errors.js";
import { BatchOrder } from "../contract/batch-order.js";
import { checkBatch, checkBytes, checkSeq, checkTime, pageSize } from "../contract/check.js";
import type { TenantId, UserKey } from "../contract/keys.js";
import { refuseClosed, refuseCompacted, refuseSeq } from "../contract/refusals.js";
import type {
  AppendOutcome,
  Compacted,
  CompactOptions,
  Duplicate,
  ErasureReceipt,
  LoadedUser,
  LoadOptions,
  NewEvent,
  Snapshot,
  Store,
  StoredEvent,
  UserPage,
} from "../contract/store.js";
import { isWhole } from "../contract/whole.js";
import type { SqliteParts } from "./driver.js";
import { EventIds } from "./event-ids.js";
import { EventLog } from "./event-log.js";
import { storeErrorOf } from "./failures.js";
import { GroupCommit } from "./group-commit.js";
import { People } from "./people.js";
import { nameOf, RowChecks, type UserRow } from "./rows.js";
import { migrate, release, setUp } from "./schema.js";
import { Tally } from "./tally.js";

/** Up to this many ids are all read at the start; `verify` reads them however many they are. */
const VERIFIED_AT_START = 20_000;

/** A store in one SQLite file, which one process has open. */
export class SqliteStore implements Store {
  readonly #parts: SqliteParts;
  readonly #people: People;
  readonly #log: EventLog;
  readonly #ids: EventIds;
  readonly #tally: Tally;
  readonly #commits: GroupCommit;
  #closed = false;

  /**
   * Opens the store in a database.
   * @throws StoreError `in-use`, `not-a-store`, `unsupported-version`, `corrupt-store`, `lost-commits`, `io-error`, `disk-full`
   */
  static open(parts: SqliteParts): SqliteStore {
    try {
      return new SqliteStore(parts);
    } catch (error) {
      parts.witness.close();
      try {
        parts.database.close();
      } catch {
        // The error that is on its way says more.
      }
      throw storeErrorOf(error, parts.path);
    }
  }

  private constructor(parts: SqliteParts) {
    const { database } = parts;
    setUp(database, parts.path);
    migrate(database, parts.path);
    const checks = new RowChecks(parts.crc32);
    this.#parts = parts;
    this.#tally = new Tally(parts, checks);
    this.#people = new People(parts, checks, this.#tally.salt);
    this.#log = new EventLog(database, checks);
    this.#ids = new EventIds(parts, checks, this.#people, this.#tally.salt);
    this.#commits = new GroupCommit(database, {
      defer: parts.defer,
      begin: () => this.#tally.beginTransaction(),
      beforeCommit: () => this.#tally.beforeCommit(),
      afterCommit: () => this.#tally.afterCommit(),
      translate: (error) => storeErrorOf(error, parts.path),
    });
    if (this.#tally.ids <= VERIFIED_AT_START) this.#tally.compare("ids", this.#ids.verify());
  }

  /** As `Store.append`. */
  append(batch: readonly NewEvent[]): Promise<AppendOutcome[]> {
    return this.#change(() => {
      checkBatch(batch);
      return () => {
        const order = new BatchOrder();
        return batch.map((event) => {
          const outcome = this.#append(event, order.mayAppend(event));
          order.note(event, outcome);
          return outcome;
        });
      };
    });
  }

  /** Checks come before writes, so that an event that is refused leaves the others of its commit alone. */
  #append(event: NewEvent, mayAppend: boolean): AppendOutcome {
    const { key, expectedSeq } = event;
    try {
      const taken = this.#ids.find(key, event.id, event.source);
      if (taken !== null) return taken;
      const { row, start } = this.#people.find(key);
      const seq = row?.seq ?? start;
      if (seq !== expectedSeq || !mayAppend) return { status: "conflict", seq };
      this.#write(event, row ?? this.#welcome(key, start));
      return { status: "ok", seq: seq + 1 };
    } catch (error) {
      if (error instanceof StoreError) return { status: "error", error };
      throw error;
    }
  }

  #write({ key, expectedSeq, ...content }: NewEvent, row: UserRow): void {
    const seq = expectedSeq + 1;
    this.#log.append(row, seq, content);
    this.#ids.take(key.tenant, row, seq, content);
    this.#people.advance(row, seq, content.time);
    this.#tally.add({ ids: 1 });
  }

  #welcome(key: UserKey, start: number): UserRow {
    this.#tally.add({ users: 1 });
    return this.#people.create(key, start);
  }

  /** As `Store.find`. */
  find(key: UserKey, id: string, source: Uint8Array): Promise<Duplicate | { readonly status: "erased" } | null> {
    return this.#read(() => this.#ids.find(key, id, source));
  }

  /** As `Store.load`. */
  load(key: UserKey, options: LoadOptions = {}): Promise<LoadedUser> {
    return this.#read(() => {
      const { row, start } = this.#people.find(key);
      const seq = options.at ?? row?.seq ?? start;
      if (seq < start || seq > (row?.seq ?? start)) throw refuseSeq(key, seq, start, row?.seq ?? start);
      if (row === null) return { seq, start, snapshot: null, events: [] };
      const before = Math.min(options.snapshotBefore ?? Infinity, seq + 1);
      let damage: StoreError | undefined;
      const snapshot = this.#newestBefore(row, before, (error) => {
        damage = error;
      });
      const first = (snapshot?.seq ?? start) + 1;
      const events = [...this.#log.read(row, first, seq)];
      if (!isWhole(events, first, seq)) throw damage ?? this.#refuseGap(key, row, events, first);
      return { seq, start, snapshot, events };
    });
  }

  #newestBefore(row: UserRow, seq: number, damaged: (error: StoreError) => void): Snapshot | null {
    for (const snapshot of this.#log.snapshots(row, damaged)) if (snapshot.seq < seq) return snapshot;
    return null;
  }

  /** Events are missing: `compact` took them, if two snapshots stand for them, and they are a beginning. */
  #refuseGap(key: UserKey, row: UserRow, events: readonly StoredEvent[], first: number): StoreError {
    const stands = [...this.#log.snapshots(row)].length === 2;
    const beginning = events.every(({ seq }, i) => i === 0 || seq === events[i - 1]!.seq + 1);
    return stands && beginning && events[0]?.seq !== first
      ? refuseCompacted(key, first)
      : corrupt(nameOf(key), `events from ${first} on are missing`);
  }

  /** As `Store.snapshot`. */
  snapshot(key: UserKey, seq: number, bytes: Uint8Array): Promise<boolean> {
    return this.#change(() => {
      checkSeq(seq, "seq");
      checkBytes(bytes, "snapshot");
      return () => {
        const { row } = this.#people.find(key);
        if (row === null || seq <= row.start || seq > row.seq) return false;
        return this.#log.putSnapshot(row, { seq, bytes });
      };
    });
  }

  /** As `Store.erase`. */
  async erase(key: UserKey): Promise<ErasureReceipt> {
    const erased = await this.#change(() => () => {
      const { row, start } = this.#people.find(key);
      if (row === null) return { existed: false, seq: start, events: 0, snapshots: 0 };
      const events = this.#log.remove(row, row.seq);
      const snapshots = this.#log.removeSnapshots(row);
      this.#people.bury(key, row, row.seq + 1);
      this.#tally.add({ users: -1 });
      return { existed: true, seq: row.seq + 1, events, snapshots };
    });
    return { ...erased, remains: await this.#read(() => this.#emptyWriteAheadLog()) };
  }

  /** Deleted bytes are in the write-ahead log still, until it is copied into the file and cut. */
  #emptyWriteAheadLog(): string[] {
    const { busy } = this.#parts.database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get() as { busy: number };
    return busy === 0
      ? []
      : ["the write-ahead log, until the backup that is under way is done and something is erased"];
  }

  /** As `Store.export`. */
  async *export(key: UserKey): AsyncIterable<StoredEvent> {
    let next = 1;
    for (;;) {
      const events = await this.#read(() => {
        const { row } = this.#people.find(key);
        return row === null ? [] : take(this.#log.read(row, next, row.seq), 256);
      });
      if (events.length === 0) return;
      yield* events;
      next = events.at(-1)!.seq + 1;
    }
  }

  /** As `Store.users`. */
  users(tenant: TenantId, page: { cursor?: string; limit?: number } = {}): Promise<UserPage> {
    return this.#read(() => {
      const limit = pageSize(page.limit);
      const found = this.#people.page(tenant, page.cursor ?? "", limit + 1);
      const users = found.slice(0, limit);
      return { users, cursor: found.length > limit ? users.at(-1)!.user : null };
    });
  }

  /** As `Store.compact`. */
  async compact({ eventsBefore, idsBefore }: CompactOptions): Promise<Compacted> {
    checkTime(eventsBefore, "eventsBefore");
    checkTime(idsBefore, "idsBefore");
    let events = 0;
    for (const row of await this.#read(() => [...this.#people.all()])) {
      events += await this.#change(() => () => this.#compactUser(row.id, eventsBefore));
    }
    const ids = await this.#change(() => () => {
      const removed = this.#ids.removeBefore(idsBefore);
      this.#tally.add({ ids: -removed });
      return removed;
    });
    return { events, ids };
  }

  #compactUser(id: number, before: number): number {
    const row = this.#people.byId(id);
    if (row === undefined) return 0;
    const [, older] = [...this.#log.snapshots(row)];
    if (older === undefined) return 0;
    return this.#log.remove(row, (this.#log.firstSince(row, older.seq, before) ?? older.seq + 1) - 1);
  }

  /** As `Store.backup`. */
  async backup(to: string): Promise<void> {
    this.#checkOpen();
    try {
      await this.#parts.backup(to);
    } catch (error) {
      throw storeErrorOf(error, to);
    }
  }

  /**
   * Reads everything: each row against its checksum, each user's log for gaps, the counts, and SQLite's own structures.
   * @throws StoreError `corrupt-store`
   */
  verify(): Promise<void> {
    return this.#read(() => {
      const [found] = this.#parts.database.prepare("PRAGMA integrity_check(1)").all() as [{ integrity_check: string }];
      if (found.integrity_check !== "ok") throw corrupt(this.#parts.path, found.integrity_check);
      let users = 0;
      for (const row of this.#people.all()) {
        this.#verifyUser(row);
        users++;
      }
      this.#tally.compare("users", users);
      this.#tally.compare("ids", this.#ids.verify());
    });
  }

  #verifyUser(row: UserRow): void {
    const key = { tenant: row.tenant, user: row.name } as UserKey;
    this.#people.find(key);
    const snapshots = [
      ...this.#log.snapshots(row, (error) => {
        throw error;
      }),
    ];
    let next: number | undefined;
    for (const { seq } of this.#log.read(row, row.start + 1, row.seq)) {
      if (seq !== (next ?? seq)) throw corrupt(nameOf(key), `event ${next} is missing`);
      next = seq + 1;
    }
    const first = next === undefined ? row.seq + 1 : row.start + 1;
    if (next !== row.seq + 1 && snapshots.length === 0)
      throw corrupt(nameOf(key), `events from ${first} on are missing`);
  }

  /** As `Store.close`. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#commits.close();
    this.#closed = true;
    this.#parts.witness.close();
    release(this.#parts.database);
    this.#parts.database.close();
  }

  /** Checks at once what may be refused, and does the rest in the next commit. */
  async #change<Value>(prepare: () => () => Value): Promise<Value> {
    this.#checkOpen();
    return this.#commits.enqueue(prepare());
  }

  async #read<Value>(read: () => Value): Promise<Value> {
    this.#checkOpen();
    try {
      return read();
    } catch (error) {
      throw storeErrorOf(error, this.#parts.path);
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw refuseClosed();
  }
}

function take<Value>(values: Iterable<Value>, count: number): Value[] {
  const taken: Value[] = [];
  for (const value of values) {
    taken.push(value);
    if (taken.length === count) break;
  }
  return taken;
}
