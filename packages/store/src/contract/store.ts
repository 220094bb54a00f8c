import type { StoreError } from "../base/errors.js";
import type { TenantId, UserId, UserKey } from "./keys.js";

/** The content of one event of the log: replay needs the first four, people the rest. */
export interface EventContent {
  /** What `payload` is, such as `learn` or `state`; the fold knows. */
  readonly kind: string;
  /** The kernels that it was learned with: replay gives the same bits on the same kernels only. */
  readonly kernels: string;
  /** The version of the format of `payload`. */
  readonly version: string;
  /** What replay needs, and nothing that ages: no text, and no id of a document. */
  readonly payload: Uint8Array;
  /** The identity that the sender gave the event, unique within the tenant: a second one of it is a duplicate. */
  readonly id: string;
  /** When it was received, in milliseconds since 1970. No order depends on it. */
  readonly time: number;
  /** The received feedback, for export and for a change of the embedder. Two events with one id are equal when their sources are equal. */
  readonly source: Uint8Array;
  /** What the sender was answered, given again to a duplicate. It outlives the event and the user, so it must name nobody. */
  readonly answer: string;
}

/** An event on its way into the log. */
export interface NewEvent extends EventContent {
  /** The user whose event it is. */
  readonly key: UserKey;
  /** The seq of the state that it was prepared on; the event becomes the next one, or conflicts. */
  readonly expectedSeq: number;
}

/** An event of the log. */
export interface StoredEvent extends EventContent {
  /** Its place among the events of its user: 1, 2, 3, … without gaps. */
  readonly seq: number;
}

/** An id that is in the log already. */
export interface Duplicate {
  /** Tells a duplicate from an event that was taken. */
  readonly status: "duplicate";
  /** The user whose log has the id. */
  readonly user: UserId;
  /** The event's place in the user's log. */
  readonly seq: number;
  /** Whether user and source are the same too; if not, two events have one id. */
  readonly same: boolean;
  /** The first answer. */
  readonly answer: string;
}

/** What became of one event of a batch. */
export type AppendOutcome =
  | { readonly status: "ok"; readonly seq: number }
  | Duplicate
  /** The log was not where the event expected it; `seq` is where it is. Nothing was stored. */
  | { readonly status: "conflict"; readonly seq: number }
  /** The id is one of a user who was erased since. Nothing was stored. */
  | { readonly status: "erased" }
  /** The user's own records are damaged. Nothing was stored. */
  | { readonly status: "error"; readonly error: StoreError };

/** The state of a user after `seq` events. */
export interface Snapshot {
  /** The number of events that the state has seen. */
  readonly seq: number;
  /** The state as bytes. */
  readonly bytes: Uint8Array;
}

/** All that is needed to fold a user's state. */
export interface LoadedUser {
  /** The seq of the last event; 0 for a user who is not known. */
  readonly seq: number;
  /** Where the log of this life begins: 0, or the seq at which an earlier life was erased. */
  readonly start: number;
  /** The newest snapshot that is whole; null if there is none, which means the state of a new user at `start`. */
  readonly snapshot: Snapshot | null;
  /** The events after the snapshot, in order, without gaps, up to `seq`. */
  readonly events: readonly StoredEvent[];
}

/** What `Store.load` reads. */
export interface LoadOptions {
  /** Load the state as it was after this event; by default, after the last. */
  readonly at?: number;
  /** Take no snapshot of this seq or a later one, since its bytes were refused. */
  readonly snapshotBefore?: number;
}

/** Facts about a user that need no replay. */
export interface UserSummary {
  /** The user's name within the tenant. */
  readonly user: UserId;
  /** The number of events that the state has seen. */
  readonly seq: number;
  /** When the last event was received, in milliseconds since 1970. */
  readonly updated: number;
}

/** Some users of a tenant. */
export interface UserPage {
  /** The users, in the order of their names. */
  readonly users: readonly UserSummary[];
  /** Where the next page begins; null after the last. */
  readonly cursor: string | null;
}

/** What an erasure removed. */
export interface ErasureReceipt {
  /** Whether there was anything to erase. */
  readonly existed: boolean;
  /** The seq at which the log stays closed: nothing that was prepared before can be appended any more. */
  readonly seq: number;
  /** Events that were removed. */
  readonly events: number;
  /** Snapshots that were removed. */
  readonly snapshots: number;
  /** What may hold bytes of the user still, and until when, in words; empty where nothing does. */
  readonly remains: readonly string[];
}

/** What a compaction may remove. */
export interface CompactOptions {
  /** Events received before this time may go, in milliseconds since 1970, once two snapshots make them unnecessary. */
  readonly eventsBefore: number;
  /** Ids of events received before this time may go; a duplicate that comes later is learned again. */
  readonly idsBefore: number;
}

/** What a compaction removed. */
export interface Compacted {
  /** Events that were removed. */
  readonly events: number;
  /** Ids that were removed. */
  readonly ids: number;
}

/**
 * Where users' states live: an event log with snapshots. State(user, seq) is a function of a snapshot and the events after it, so the log
 * is the truth and snapshots only save time. Homes are memory, SQLite, IndexedDB and PostgreSQL; one suite of tests runs on all of them.
 *
 * A promise of a change is fulfilled when the change would survive a power cut. One that is rejected changed nothing, except for `io-error`:
 * the change may be there then, and trying again with the same event ids finds out.
 */
export interface Store {
  /**
   * Appends events, each after the ones before it, in one commit. Several events of one user may be in a batch; once one of them is not taken,
   * the later ones of this user are not either. Batches that wait at the same time share a commit.
   * @returns an outcome for each event, in order
   * @throws StoreError `disk-full`, `io-error`, `invalid-argument`, `closed`; no event was acknowledged then
   */
  append(batch: readonly NewEvent[]): Promise<AppendOutcome[]>;

  /** The event of an id, if it is in the log; `source` is what a sender claims it to be. */
  find(key: UserKey, id: string, source: Uint8Array): Promise<Duplicate | { readonly status: "erased" } | null>;

  /**
   * Loads what a user's state is folded from. A snapshot that is damaged is passed over for an older one and more events.
   * @throws StoreError `corrupt-store`, `compacted` where events before `at` are gone, `io-error`, `closed`
   */
  load(key: UserKey, options?: LoadOptions): Promise<LoadedUser>;

  /**
   * The seq of a user's last event; 0 for a user who is not known. Only a home that several processes have open has it: whoever keeps a copy
   * asks from time to time whether it is the newest.
   * @throws StoreError `io-error`, `closed`
   */
  head?(key: UserKey): Promise<number>;

  /**
   * Keeps the state of a user after `seq` events; the two newest snapshots are kept.
   * @returns false, and stores nothing, if there is a newer one, or the log is not there (any more)
   */
  snapshot(key: UserKey, seq: number, bytes: Uint8Array): Promise<boolean>;

  /**
   * Removes all that is known of a user. A tombstone stays, which holds no name: nothing that was prepared before the erasure can be appended
   * after it, and ids of erased events stay taken.
   */
  erase(key: UserKey): Promise<ErasureReceipt>;

  /** Every event of a user that is there, oldest first. */
  export(key: UserKey): AsyncIterable<StoredEvent>;

  /** A page of a tenant's users, in one order; `limit` is 100 by default and at most 1,000. */
  users(tenant: TenantId, page?: { readonly cursor?: string; readonly limit?: number }): Promise<UserPage>;

  /** Removes events that two snapshots have made unnecessary, and ids that are old enough. */
  compact(options: CompactOptions): Promise<Compacted>;

  /** Copies everything, as of one moment, to a place that the same home can open: a path, or the name of a database. */
  backup(to: string): Promise<void>;

  /** Waits for what is under way, and lets go of the store. */
  close(): Promise<void>;
}
