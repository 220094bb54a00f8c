import { corrupt, type StoreError } from "../base/errors.js";
import type { EventContent, Snapshot, StoredEvent } from "../contract/store.js";
import type { SqliteDatabase } from "./driver.js";
import { eventRow, type RowChecks, type UserRow } from "./rows.js";

type StoredRow = StoredEvent & { readonly crc: number };
type StoredSnapshot = Snapshot & { readonly crc: number };
interface Slot {
  readonly slot: number;
  readonly seq: number;
}

const COLUMNS = "seq, id, time, kind, kernels, version, payload, source, answer, crc";
const CHUNK = 256;

/** The events of users, and their snapshots. */
export class EventLog {
  readonly #checks: RowChecks;
  readonly #statements;

  constructor(database: SqliteDatabase, checks: RowChecks) {
    this.#checks = checks;
    this.#statements = {
      range: database.prepare(`SELECT ${COLUMNS} FROM event WHERE row BETWEEN ? AND ? ORDER BY row LIMIT ?`),
      insert: database.prepare(`INSERT INTO event (row, ${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
      remove: database.prepare("DELETE FROM event WHERE row BETWEEN ? AND ?"),
      firstKept: database.prepare("SELECT min(seq) AS seq FROM event WHERE row BETWEEN ? AND ? AND time >= ?"),
      slots: database.prepare("SELECT row & 1 AS slot, seq FROM snapshot WHERE row BETWEEN ? AND ? ORDER BY seq DESC"),
      snapshot: database.prepare("SELECT seq, bytes, crc FROM snapshot WHERE row = ?"),
      putSnapshot: database.prepare(
        `INSERT INTO snapshot (row, seq, bytes, crc) VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET seq = excluded.seq, bytes = excluded.bytes, crc = excluded.crc`,
      ),
      removeSnapshots: database.prepare("DELETE FROM snapshot WHERE row BETWEEN ? AND ?"),
    };
  }

  append({ id: user }: UserRow, seq: number, content: EventContent): void {
    const { id, time, kind, kernels, version, payload, source, answer } = content;
    const crc = this.#checks.event(user, { ...content, seq });
    const values = [seq, id, time, kind, kernels, version, payload, source, answer, crc];
    this.#statements.insert.run(eventRow(user, seq), ...values);
  }

  /** The events from one seq to another that are there, each checked. @throws StoreError `corrupt-store` */
  *read(user: UserRow, first: number, last: number): Generator<StoredEvent, void, undefined> {
    const end = eventRow(user.id, last);
    for (let next = first; next <= last; ) {
      const rows = this.#statements.range.all(eventRow(user.id, next), end, CHUNK) as StoredRow[];
      for (const row of rows) yield this.#checked(user, row);
      if (rows.length < CHUNK) return;
      next = rows.at(-1)!.seq + 1;
    }
  }

  /** Removes events up to a seq. @returns how many there were */
  remove({ id }: UserRow, last: number): number {
    return Number(this.#statements.remove.run(eventRow(id, 0), eventRow(id, last)).changes);
  }

  /** The first event up to `last` that was received at a time or later; undefined if all are older. */
  firstSince({ id }: UserRow, last: number, time: number): number | undefined {
    const { seq } = this.#statements.firstKept.get(eventRow(id, 0), eventRow(id, last), time) as { seq: number | null };
    return seq ?? undefined;
  }

  /** The snapshots that are whole, newest first; `damaged` hears of the others. */
  *snapshots(user: UserRow, damaged?: (error: StoreError) => void): Generator<Snapshot, void, undefined> {
    for (const { slot } of this.#slots(user)) {
      const row = this.#statements.snapshot.get(2 * user.id + slot) as StoredSnapshot;
      if (row.crc === this.#checks.snapshot(user.id, row) && row.seq > user.start && row.seq <= user.seq) {
        yield { seq: row.seq, bytes: row.bytes };
      } else {
        damaged?.(corrupt(`snapshot of user ${user.id}`, "its checksum is wrong"));
      }
    }
  }

  /** Writes a snapshot over the older one of two. @returns false if one of them is as new */
  putSnapshot(user: UserRow, snapshot: Snapshot): boolean {
    const whole = [...this.snapshots(user)].map(({ seq }) => seq);
    if (whole.some((seq) => seq >= snapshot.seq)) return false;
    const kept = this.#slots(user).find(({ seq }) => seq === whole[0]);
    const slot = kept === undefined ? 0 : 1 - kept.slot;
    const crc = this.#checks.snapshot(user.id, snapshot);
    this.#statements.putSnapshot.run(2 * user.id + slot, snapshot.seq, snapshot.bytes, crc);
    return true;
  }

  /** @returns how many there were */
  removeSnapshots({ id }: UserRow): number {
    return Number(this.#statements.removeSnapshots.run(2 * id, 2 * id + 1).changes);
  }

  #slots({ id }: UserRow): Slot[] {
    return this.#statements.slots.all(2 * id, 2 * id + 1) as Slot[];
  }

  #checked(user: UserRow, stored: StoredRow): StoredEvent {
    const { crc: _, ...event } = stored;
    this.#checks.checked(stored, this.#checks.event(user.id, event), `event ${event.seq} of user ${user.id}`);
    return event;
  }
}
