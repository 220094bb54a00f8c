import type { PoolClient } from "pg";
import { corrupt, StoreError } from "../base/errors.js";
import { checkBatch, checkBytes, checkSeq, checkTime, pageSize } from "../contract/check.js";
import type { TenantId, UserId, UserKey } from "../contract/keys.js";
import { refuseClosed, refuseCompacted, refuseSeq } from "../contract/refusals.js";
import type {
  AppendOutcome,
  Compacted,
  CompactOptions,
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
import { Append, type Taken } from "./append.js";
import { Collision, type Connections, type Row } from "./connections.js";
import { eventCrc, type Hashes, snapshotCrc } from "./hashes.js";
import type { Statements } from "./statements.js";

/** What a store is made of. */
export interface PostgresParts {
  readonly connections: Connections;
  readonly statements: Statements;
  readonly hashes: Hashes;
  /** Copies all tables into another schema. */
  backup(client: PoolClient, to: string): Promise<void>;
}

interface Waiting {
  readonly batch: readonly NewEvent[];
  readonly resolve: (outcomes: AppendOutcome[]) => void;
  readonly reject: (error: unknown) => void;
}

/** One commit takes so many events at most, or so many bytes. */
const MAX_EVENTS = 1000;
const MAX_COMMIT_BYTES = 16 * 1024 * 1024;
const CHUNK = 256;
const COMPACT_PEOPLE = 500;
const COMPACT_IDS = 10_000;
const MAX_TRIES = 16;
/** Behind every seq. */
const LAST = 2 ** 40;
const REMAINS = ["dead rows and the write-ahead log of PostgreSQL, until it vacuums and recycles them", "its backups"];

const decoder = new TextDecoder();

/** A store in PostgreSQL, which many processes have open at once. */
export class PostgresStore implements Store {
  readonly #parts: PostgresParts;
  readonly #append: Append;
  #waiting: Waiting[] = [];
  #sending: Promise<void> | null = null;
  #underWay = new Set<Promise<unknown>>();
  #closed = false;

  constructor(parts: PostgresParts) {
    this.#parts = parts;
    this.#append = new Append(parts.connections, parts.statements, parts.hashes);
  }

  /** As `Store.append`. */
  async append(batch: readonly NewEvent[]): Promise<AppendOutcome[]> {
    this.#checkOpen();
    checkBatch(batch);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ batch, resolve, reject });
      this.#sending ??= this.#send();
    });
  }

  /** Appends what waits, one commit after the other; what comes meanwhile shares the next. */
  async #send(): Promise<void> {
    await null;
    while (this.#waiting.length > 0) {
      const group = this.#waiting.splice(0, countOf(this.#waiting));
      try {
        const outcomes = await this.#append.run(group.map(({ batch }) => batch));
        for (const { batch, resolve } of group) resolve(outcomes.splice(0, batch.length));
      } catch (error) {
        for (const { reject } of group) reject(error);
      }
    }
    this.#sending = null;
  }

  /** As `Store.find`. */
  find(key: UserKey, id: string, source: Uint8Array): Promise<Taken | null> {
    return this.#do(() => this.#append.find(key, id, source));
  }

  /** As `Store.load`. */
  load(key: UserKey, { at, snapshotBefore = LAST }: LoadOptions = {}): Promise<LoadedUser> {
    return this.#do(async () => {
      const person = this.#parts.hashes.person(key);
      let before = Math.min(snapshotBefore, (at ?? LAST) + 1);
      let damage: StoreError | undefined;
      for (;;) {
        const rows = await this.#query("load", [person, before, at ?? LAST]);
        const [row] = rows.filter(({ part }) => part === 0);
        const [start, last] = row === undefined ? [0, 0] : [Number(row.time), Number(row.seq)];
        const seq = at ?? last;
        if (seq < start || seq > last) throw refuseSeq(key, seq, start, last);
        const [kept] = rows.filter(({ part }) => part === 1);
        const snapshot = kept === undefined ? null : snapshotOf(person, kept);
        if (snapshot instanceof StoreError) {
          damage = snapshot;
          before = Number(kept!.seq);
          continue;
        }
        const first = (snapshot?.seq ?? start) + 1;
        const events = rows.filter(({ part }) => part === 2).map((each) => eventOf(key, person, each));
        if (isWhole(events, first, seq)) return { seq, start, snapshot, events };
        throw damage ?? (await this.#refuseGap(key, person, events, first));
      }
    });
  }

  /** Events are missing: `compact` took them, if two snapshots stand for them, and they are a beginning. */
  async #refuseGap(key: UserKey, person: Buffer, events: readonly StoredEvent[], first: number): Promise<StoreError> {
    const stands = (await this.#query("snapshots", [person])).length === 2;
    const isBeginning = events.every(({ seq }, i) => i === 0 || seq === events[i - 1]!.seq + 1);
    return stands && isBeginning && events[0]?.seq !== first
      ? refuseCompacted(key, first)
      : corrupt(`user ${key.user}`, `events from ${first} on are missing`);
  }

  /** As `Store.head`. */
  head(key: UserKey): Promise<number> {
    return this.#do(async () => Number((await this.#query("head", [this.#parts.hashes.person(key)]))[0]?.seq ?? 0));
  }

  /** As `Store.snapshot`. */
  async snapshot(key: UserKey, seq: number, bytes: Uint8Array): Promise<boolean> {
    this.#checkOpen();
    checkSeq(seq, "seq");
    checkBytes(bytes, "snapshot");
    return this.#do(async () => {
      const person = this.#parts.hashes.person(key);
      return (await this.#query("snapshot", [person, seq, bytes, snapshotCrc(person, { seq, bytes })])).length > 0;
    });
  }

  /** As `Store.erase`. */
  erase(key: UserKey): Promise<ErasureReceipt> {
    return this.#do(async () => {
      const person = this.#parts.hashes.person(key);
      for (let tries = 0; tries < MAX_TRIES; tries++) {
        const [row] = await this.#query("people", [[person]]);
        const seq = Number(row?.seq ?? 0);
        if (row === undefined || row.name === null) {
          return { existed: false, seq, events: 0, snapshots: 0, remains: [] };
        }
        const [erased] = await this.#query("erase", [person, seq, row.snapshot_seq]);
        if (Number(erased!.buried) === 0) continue;
        const counts = { events: Number(erased!.events), snapshots: Number(erased!.snapshots) };
        return { existed: true, seq: seq + 1, ...counts, remains: REMAINS };
      }
      const problem = `was changed by others ${MAX_TRIES} times in a row`;
      throw new StoreError("contended", `user ${key.user}`, problem, "Try again");
    });
  }

  /** As `Store.export`. */
  async *export(key: UserKey): AsyncIterable<StoredEvent> {
    const person = this.#parts.hashes.person(key);
    for (let next = 1; ; ) {
      const rows = await this.#do(() => this.#query("events", [person, next, CHUNK]));
      const events = rows.map((row) => eventOf(key, person, row));
      yield* events;
      if (events.length < CHUNK) return;
      next = events.at(-1)!.seq + 1;
    }
  }

  /** As `Store.users`. */
  users(tenant: TenantId, page: { cursor?: string; limit?: number } = {}): Promise<UserPage> {
    return this.#do(async () => {
      const limit = pageSize(page.limit);
      const rows = await this.#query("users", [tenant, page.cursor ?? "", limit + 1]);
      const users = rows.slice(0, limit).map(({ name, seq, updated }) => {
        return { user: name as UserId, seq: Number(seq), updated: Number(updated) };
      });
      return { users, cursor: rows.length > limit ? users.at(-1)!.user : null };
    });
  }

  /** As `Store.compact`. */
  compact({ eventsBefore, idsBefore }: CompactOptions): Promise<Compacted> {
    return this.#do(async () => {
      checkTime(eventsBefore, "eventsBefore");
      checkTime(idsBefore, "idsBefore");
      let events = 0;
      for (let last: unknown = Buffer.alloc(0); last !== null; ) {
        const [page] = await this.#query("compactEvents", [eventsBefore, last, COMPACT_PEOPLE]);
        events += Number(page!.gone);
        last = page!.last;
      }
      let ids = 0;
      for (let gone = COMPACT_IDS; gone === COMPACT_IDS; ids += gone) {
        gone = Number((await this.#query("compactIds", [idsBefore, COMPACT_IDS]))[0]!.gone);
      }
      return { events, ids };
    });
  }

  /** As `Store.backup`. */
  backup(to: string): Promise<void> {
    return this.#do(() => this.#parts.connections.use((client) => this.#parts.backup(client, to)));
  }

  /** As `Store.close`. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#sending;
    await Promise.allSettled(this.#underWay);
    await this.#parts.connections.close();
  }

  /** Runs a statement, and again where a lock was in the way. */
  async #query(name: keyof Statements, values: readonly unknown[]): Promise<readonly Row[]> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#parts.connections.query(this.#parts.statements[name], values);
      } catch (error) {
        if (!(error instanceof Collision)) throw error;
        if (tries === MAX_TRIES) throw new StoreError("contended", name, "locks were in the way", "Try again");
      }
    }
  }

  /** Does something that `close` waits for. */
  async #do<Value>(work: () => Promise<Value>): Promise<Value> {
    this.#checkOpen();
    const done = work();
    this.#underWay.add(done);
    try {
      return await done;
    } finally {
      this.#underWay.delete(done);
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw refuseClosed();
  }
}

/** How many of the batches that wait go into one commit: one at least. */
function countOf(waiting: readonly Waiting[]): number {
  let [events, bytes] = [0, 0];
  for (const [i, { batch }] of waiting.entries()) {
    events += batch.length;
    for (const { payload, source } of batch) bytes += payload.length + source.length;
    if (i > 0 && (events > MAX_EVENTS || bytes > MAX_COMMIT_BYTES)) return i;
  }
  return waiting.length;
}

/** @returns the error of one whose bytes changed */
function snapshotOf(person: Buffer, row: Row): Snapshot | StoreError {
  const snapshot = { seq: Number(row.seq), bytes: new Uint8Array(row.payload as Buffer) };
  if (snapshotCrc(person, snapshot) === Number(row.crc)) return snapshot;
  return corrupt(`snapshot ${snapshot.seq}`, "its checksum is not that of its bytes");
}

/** @throws StoreError `corrupt-store` */
function eventOf({ user }: UserKey, person: Buffer, row: Row): StoredEvent {
  const { id, kind, kernels, version } = row as { readonly [K in "id" | "kind" | "kernels" | "version"]: string };
  const event: StoredEvent = {
    seq: Number(row.seq),
    id,
    time: Number(row.time),
    kind,
    kernels,
    version,
    payload: new Uint8Array(row.payload as Buffer),
    source: new Uint8Array(row.source as Buffer),
    answer: decoder.decode(row.answer as Buffer),
  };
  if (eventCrc(person, event) === Number(row.crc)) return event;
  throw corrupt(`event ${event.seq} of ${user}`, "its checksum is not that of its bytes");
}
