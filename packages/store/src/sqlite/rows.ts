import { joinFields } from "../base/bytes.js";
import { corrupt } from "../base/errors.js";
import type { UserKey } from "../contract/keys.js";
import type { Snapshot, StoredEvent } from "../contract/store.js";

type Field = string | number | Uint8Array;
type Crc32 = (bytes: Uint8Array) => number;

export interface UserRow {
  readonly id: number;
  readonly tenant: string;
  readonly name: string;
  readonly start: number;
  readonly seq: number;
  readonly updated: number;
  readonly secret: Uint8Array;
}

/** `user` is null once the user was erased; `seq` is then where the log stays closed, and 0 before. */
export interface SubjectRow {
  readonly hash: Uint8Array;
  readonly user: number | null;
  readonly seq: number;
}

export interface IdRow {
  readonly hash: Uint8Array;
  readonly user: number;
  readonly seq: number;
  readonly time: number;
  readonly print: Uint8Array;
  readonly answer: string;
}

export interface TallyRow {
  readonly salt: Uint8Array;
  readonly commits: number;
  readonly users: number;
  readonly ids: number;
}

type WithCrc<Row> = Row & { readonly crc: number };

/**
 * The checksum of each kind of row, over all of its fields and, of what belongs to a user, over the user's names, so that rows that changed
 * places are found too.
 */
export class RowChecks {
  readonly #crc32: Crc32;

  constructor(crc32: Crc32) {
    this.#crc32 = crc32;
  }

  user({ id, tenant, name, start, seq, updated, secret }: UserRow): number {
    return this.#sum(["user", id, tenant, name, start, seq, updated, secret]);
  }

  subject({ hash, user, seq }: SubjectRow): number {
    return this.#sum(["subject", hash, user ?? -1, seq]);
  }

  event(id: number, event: StoredEvent): number {
    const { seq, time, kind, kernels, version, payload, source, answer } = event;
    return this.#sum(["event", id, seq, event.id, time, kind, kernels, version, payload, source, answer]);
  }

  id({ hash, user, seq, time, print, answer }: IdRow): number {
    return this.#sum(["id", hash, user, seq, time, print, answer]);
  }

  snapshot(id: number, { seq, bytes }: Snapshot): number {
    return this.#sum(["snapshot", id, seq, bytes]);
  }

  tally({ salt, commits, users, ids }: TallyRow): number {
    return this.#sum(["tally", salt, commits, users, ids]);
  }

  /** The row, if its checksum is the one that it should have. @throws StoreError `corrupt-store` */
  checked<Row>(row: WithCrc<Row>, sum: number, where: string): Row {
    if (row.crc !== sum) throw corrupt(where, `its checksum is ${row.crc}, and its bytes give ${sum}`);
    return row;
  }

  #sum(fields: readonly Field[]): number {
    return this.#crc32(joinFields(fields));
  }
}

/** The row of an event: rows of one user lie together, in order. */
export function eventRow(user: number, seq: number): bigint {
  return (BigInt(user) << 32n) | BigInt(seq);
}

/** A user in messages. */
export function nameOf({ tenant, user }: UserKey): string {
  return `user ${user} of ${tenant}`;
}
