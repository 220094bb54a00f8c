import { sameBytes } from "../base/bytes.js";
import type { UserId, UserKey } from "../contract/keys.js";
import { keyOf } from "../contract/keys.js";
import type { AppendOutcome, Duplicate, EventContent, NewEvent, StoredEvent } from "../contract/store.js";
import { hashOf, sealEvent, sealUser, textHashOf } from "./seals.js";
import { change, type Database, type IdRow, type Sealed, type UserRow } from "./tables.js";
import { findUser, userByNumber } from "./users.js";

const SECRET_BYTES = 16;

export type Taken = Duplicate | { readonly status: "erased" };

/**
 * Appends a batch: reads what it needs, decides in memory, then writes in one transaction. Nobody else writes in between, since one tab has
 * the lock and does one change at a time.
 */
export class Append {
  readonly #database: Database;
  readonly #salt: Uint8Array;
  readonly #users = new Map<string, UserRow>();
  readonly #ids = new Map<string, IdRow>();
  readonly #events: [user: number, event: Sealed<StoredEvent>][] = [];
  #nextUser: number;

  constructor(database: Database, salt: Uint8Array, nextUser: number) {
    this.#database = database;
    this.#salt = salt;
    this.#nextUser = nextUser;
  }

  /** Decides about an event, after the ones before it. */
  async add({ key, expectedSeq, ...content }: NewEvent, mayAppend: boolean): Promise<AppendOutcome> {
    const taken = await this.#find(key, content.id, content.source);
    if (taken !== null) return taken;
    const user = await this.#user(key);
    if (user.seq !== expectedSeq || !mayAppend) return { status: "conflict", seq: user.seq };
    const seq = expectedSeq + 1;
    const { payload, source } = content;
    const event = { ...content, payload: payload.slice(), source: source.slice(), seq };
    this.#events.push([user.id, await sealEvent(user.id, event)]);
    this.#ids.set(await idHashOf(this.#salt, key, content.id), await idRowOf(user, seq, content));
    this.#users.set(keyOf(key), { ...user, seq, updated: content.time });
    return { status: "ok", seq };
  }

  /** Writes what was decided. @returns the number that the next new user gets */
  async write(): Promise<number> {
    if (this.#events.length === 0) return this.#nextUser;
    const users = await Promise.all([...this.#users.values()].map(sealUser));
    const transaction = change(this.#database);
    const table = <Name extends "users" | "events" | "ids" | "meta">(name: Name) => transaction.objectStore(name);
    const writes: Promise<unknown>[] = users.map((user) => table("users").put(user));
    for (const [user, event] of this.#events) writes.push(table("events").put(event, [user, event.seq]));
    for (const [hash, row] of this.#ids) writes.push(table("ids").put(row, hash));
    writes.push(table("meta").put(this.#nextUser, "next user"), transaction.done);
    await Promise.all(writes);
    return this.#nextUser;
  }

  async #find(key: UserKey, id: string, source: Uint8Array): Promise<Taken | null> {
    const row = this.#ids.get(await idHashOf(this.#salt, key, id));
    const users = [...this.#users.values()];
    return row === undefined
      ? findId(this.#database, this.#salt, key, id, source)
      : takenBy(row, users.find((user) => user.id === row.user)!, key, source);
  }

  async #user(key: UserKey): Promise<UserRow> {
    const known = this.#users.get(keyOf(key));
    if (known !== undefined) return known;
    const { row, start } = await findUser(this.#database, this.#salt, key);
    if (row !== null) return row;
    const secret = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
    return { id: this.#nextUser++, ...key, start, seq: start, updated: 0, secret };
  }
}

/** What has an id already. @throws StoreError `corrupt-store` */
export async function findId(
  database: Database,
  salt: Uint8Array,
  key: UserKey,
  id: string,
  source: Uint8Array,
): Promise<Taken | null> {
  const row = await database.get("ids", await idHashOf(salt, key, id));
  if (row === undefined) return null;
  const user = await userByNumber(database, row.user);
  return user === undefined ? { status: "erased" } : takenBy(row, user, key, source);
}

async function takenBy(row: IdRow, user: UserRow, key: UserKey, source: Uint8Array): Promise<Taken> {
  const isOwn = user.tenant === key.tenant && user.user === key.user;
  const same = isOwn && sameBytes(row.print, await hashOf([user.secret, source]));
  return { status: "duplicate", user: user.user as UserId, seq: row.seq, same, answer: row.answer };
}

async function idRowOf(user: UserRow, seq: number, { time, source, answer }: EventContent): Promise<IdRow> {
  return { user: user.id, seq, time, print: await hashOf([user.secret, source]), answer };
}

function idHashOf(salt: Uint8Array, { tenant }: UserKey, id: string): Promise<string> {
  return textHashOf([salt, "id", tenant, id]);
}
