import { sameBytes } from "../base/bytes.js";
import { BatchOrder } from "../contract/batch-order.js";
import { checkBatch, checkBytes, checkSeq, checkTime, pageSize } from "../contract/check.js";
import { keyOf, type TenantId, type UserId, type UserKey } from "../contract/keys.js";
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

interface User {
  readonly key: UserKey;
  readonly start: number;
  seq: number;
  updated: number;
  events: StoredEvent[];
  /** Oldest first, at most two. */
  snapshots: Snapshot[];
}

interface TakenId {
  /** Null once the user is erased. */
  readonly user: UserId | null;
  readonly seq: number;
  readonly time: number;
  readonly source: Uint8Array;
  readonly answer: string;
}

/** What a memory store keeps, so that a second store can open it after the first is closed. */
export interface MemoryContents {
  readonly users: Map<string, User>;
  readonly ids: Map<string, TakenId>;
  /** The seq at which a user was erased. */
  readonly tombstones: Map<string, number>;
}

/** Places that memory stores are opened at, by name; `backup` makes new ones. */
export type MemoryPlaces = Map<string, MemoryContents>;

/** Options of a `MemoryStore`. */
export interface MemoryStoreOptions {
  /** Where contents are kept; by default they end with the store. */
  readonly places?: MemoryPlaces;
  /** The name of this store's contents among them; `main` by default. */
  readonly name?: string;
}

/** A store that ends with its process, tombstones and all: for tests, for trying out, and as the simple model of the other homes. */
export function openMemoryStore({ places = new Map(), name = "main" }: MemoryStoreOptions = {}): Store {
  const contents = places.get(name) ?? { users: new Map(), ids: new Map(), tombstones: new Map() };
  places.set(name, contents);
  return new MemoryStore(places, contents);
}

class MemoryStore implements Store {
  readonly #places: MemoryPlaces;
  readonly #contents: MemoryContents;
  #closed = false;

  constructor(places: MemoryPlaces, contents: MemoryContents) {
    this.#places = places;
    this.#contents = contents;
  }

  async append(batch: readonly NewEvent[]): Promise<AppendOutcome[]> {
    this.#checkOpen();
    checkBatch(batch);
    const order = new BatchOrder();
    return batch.map((event) => {
      const outcome = this.#append(event, order.mayAppend(event));
      order.note(event, outcome);
      return outcome;
    });
  }

  #append(event: NewEvent, mayAppend: boolean): AppendOutcome {
    const { key, expectedSeq, ...content } = event;
    const taken = this.#find(key, event.id, event.source);
    if (taken !== null) return taken;
    const { users, ids } = this.#contents;
    const user = users.get(keyOf(key)) ?? this.#newUser(key);
    if (user.seq !== expectedSeq || !mayAppend) return { status: "conflict", seq: user.seq };
    const seq = expectedSeq + 1;
    users.set(keyOf(key), user);
    const payload = content.payload.slice();
    const source = content.source.slice();
    user.events.push({ ...content, payload, source, seq });
    user.seq = seq;
    user.updated = event.time;
    ids.set(idKey(key.tenant, event.id), { user: key.user, seq, time: event.time, source, answer: event.answer });
    return { status: "ok", seq };
  }

  async find(key: UserKey, id: string, source: Uint8Array): Promise<Duplicate | { status: "erased" } | null> {
    this.#checkOpen();
    return this.#find(key, id, source);
  }

  #find(key: UserKey, id: string, source: Uint8Array): Duplicate | { status: "erased" } | null {
    const taken = this.#contents.ids.get(idKey(key.tenant, id));
    if (taken === undefined) return null;
    const { user, seq, answer } = taken;
    if (user === null) return { status: "erased" };
    const same = user === key.user && sameBytes(taken.source, source);
    return { status: "duplicate", user, seq, same, answer };
  }

  async load(key: UserKey, { at, snapshotBefore = Infinity }: LoadOptions = {}): Promise<LoadedUser> {
    this.#checkOpen();
    const { start, seq: last, snapshots, events } = this.#contents.users.get(keyOf(key)) ?? this.#newUser(key);
    const seq = at ?? last;
    if (seq < start || seq > last) throw refuseSeq(key, seq, start, last);
    const snapshot = snapshots.findLast((each) => each.seq <= seq && each.seq < snapshotBefore) ?? null;
    const first = (snapshot?.seq ?? start) + 1;
    const tail = events.filter((event) => event.seq >= first && event.seq <= seq);
    if (tail.length !== seq - first + 1) throw refuseCompacted(key, first);
    return { seq, start, snapshot, events: tail };
  }

  async snapshot(key: UserKey, seq: number, bytes: Uint8Array): Promise<boolean> {
    this.#checkOpen();
    checkSeq(seq, "seq");
    checkBytes(bytes, "snapshot");
    const user = this.#contents.users.get(keyOf(key));
    const last = user?.snapshots.at(-1)?.seq ?? user?.start;
    if (user === undefined || last === undefined || seq <= last || seq > user.seq) return false;
    user.snapshots = [...user.snapshots.slice(-1), { seq, bytes: bytes.slice() }];
    return true;
  }

  async erase(key: UserKey): Promise<ErasureReceipt> {
    this.#checkOpen();
    const { users, ids, tombstones } = this.#contents;
    const user = users.get(keyOf(key));
    if (user === undefined) {
      return { existed: false, seq: this.#newUser(key).start, events: 0, snapshots: 0, remains: [] };
    }
    const seq = user.seq + 1;
    users.delete(keyOf(key));
    tombstones.set(keyOf(key), seq);
    for (const [id, taken] of ids) {
      if (taken.user !== key.user || !id.startsWith(`${key.tenant}\0`)) continue;
      ids.set(id, { ...taken, user: null, source: new Uint8Array(0), answer: "" });
    }
    return { existed: true, seq, events: user.events.length, snapshots: user.snapshots.length, remains: [] };
  }

  async *export(key: UserKey): AsyncIterable<StoredEvent> {
    this.#checkOpen();
    for (const event of [...(this.#contents.users.get(keyOf(key))?.events ?? [])]) {
      this.#checkOpen();
      yield event;
    }
  }

  async users(tenant: TenantId, page: { cursor?: string; limit?: number } = {}): Promise<UserPage> {
    this.#checkOpen();
    const limit = pageSize(page.limit);
    const after = (user: User) => page.cursor === undefined || user.key.user > page.cursor;
    const found = [...this.#contents.users.values()].filter((user) => user.key.tenant === tenant && after(user));
    found.sort((a, b) => (a.key.user < b.key.user ? -1 : 1));
    const users = found.slice(0, limit).map(({ key, seq, updated }) => ({ user: key.user, seq, updated }));
    return { users, cursor: found.length > limit ? users.at(-1)!.user : null };
  }

  async compact({ eventsBefore, idsBefore }: CompactOptions): Promise<Compacted> {
    this.#checkOpen();
    checkTime(eventsBefore, "eventsBefore");
    checkTime(idsBefore, "idsBefore");
    const { users, ids } = this.#contents;
    let removed = 0;
    for (const user of users.values()) {
      const [older, newer] = user.snapshots;
      if (older === undefined || newer === undefined) continue;
      const kept = user.events.findIndex(({ seq, time }) => seq > older.seq || time >= eventsBefore);
      removed += user.events.splice(0, kept < 0 ? user.events.length : kept).length;
    }
    const old = [...ids].filter(([, { time }]) => time < idsBefore);
    for (const [id] of old) ids.delete(id);
    return { events: removed, ids: old.length };
  }

  async backup(to: string): Promise<void> {
    this.#checkOpen();
    this.#places.set(to, structuredClone(this.#contents));
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #newUser(key: UserKey): User {
    const start = this.#contents.tombstones.get(keyOf(key)) ?? 0;
    return { key, start, seq: start, updated: 0, events: [], snapshots: [] };
  }

  #checkOpen(): void {
    if (this.#closed) throw refuseClosed();
  }
}

function idKey(tenant: TenantId, id: string): string {
  return `${tenant}\0${id}`;
}
