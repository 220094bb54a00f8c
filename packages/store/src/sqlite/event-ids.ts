import { joinFields, sameBytes } from "../base/bytes.js";
import { corrupt } from "../base/errors.js";
import type { TenantId, UserId, UserKey } from "../contract/keys.js";
import type { Duplicate, EventContent } from "../contract/store.js";
import type { SqliteParts } from "./driver.js";
import type { People } from "./people.js";
import type { IdRow, RowChecks, UserRow } from "./rows.js";

type StoredId = IdRow & { readonly crc: number };

/** The ids that are taken, as hashes, with what a duplicate is answered. They outlive their events. */
export class EventIds {
  readonly #checks: RowChecks;
  readonly #parts: SqliteParts;
  readonly #people: People;
  readonly #salt: Uint8Array;
  readonly #statements;

  constructor(parts: SqliteParts, checks: RowChecks, people: People, salt: Uint8Array) {
    this.#parts = parts;
    this.#checks = checks;
    this.#people = people;
    this.#salt = salt;
    const { database } = parts;
    this.#statements = {
      get: database.prepare("SELECT * FROM id WHERE hash = ?"),
      insert: database.prepare(
        "INSERT INTO id (hash, user, seq, time, print, answer, crc) VALUES (?, ?, ?, ?, ?, ?, ?)",
      ),
      removeBefore: database.prepare("DELETE FROM id WHERE time < ?"),
      after: database.prepare("SELECT * FROM id WHERE hash > ? ORDER BY hash LIMIT 256"),
    };
  }

  /** What has an id already. @throws StoreError `corrupt-store` */
  find(key: UserKey, id: string, source: Uint8Array): Duplicate | { readonly status: "erased" } | null {
    const found = this.#statements.get.get(this.#hashOf(key.tenant, id)) as StoredId | undefined;
    if (found === undefined) return null;
    const { user, seq, print, answer } = this.#checked(found);
    const row = this.#people.byId(user);
    if (row === undefined) return { status: "erased" };
    const same = row.tenant === key.tenant && row.name === key.user && sameBytes(print, this.#printOf(row, source));
    return { status: "duplicate", user: row.name as UserId, seq, same, answer };
  }

  take(tenant: TenantId, row: UserRow, seq: number, { id, time, source, answer }: EventContent): void {
    const hash = this.#hashOf(tenant, id);
    const taken: IdRow = { hash, user: row.id, seq, time, print: this.#printOf(row, source), answer };
    this.#statements.insert.run(hash, row.id, seq, time, taken.print, answer, this.#checks.id(taken));
  }

  /** @returns how many were removed */
  removeBefore(time: number): number {
    return Number(this.#statements.removeBefore.run(time).changes);
  }

  /** Reads every id, in the order in which a search would. @throws StoreError `corrupt-store` */
  verify(): number {
    let count = 0;
    let last: Uint8Array = new Uint8Array(0);
    for (;;) {
      const rows = this.#statements.after.all(last) as StoredId[];
      for (const row of rows) {
        if (this.#statements.get.get(row.hash) === undefined) throw corrupt("event ids", "one of them cannot be found");
        last = this.#checked(row).hash;
        count++;
      }
      if (rows.length === 0) return count;
    }
  }

  #hashOf(tenant: TenantId, id: string): Uint8Array {
    return this.#parts.hash(joinFields([this.#salt, "id", tenant, id]));
  }

  /** Tells sources apart; without the user's secret, which goes when the user is erased, it tells nothing. */
  #printOf({ secret }: UserRow, source: Uint8Array): Uint8Array {
    return this.#parts.hash(joinFields([secret, source]));
  }

  #checked(row: StoredId): IdRow {
    return this.#checks.checked(row, this.#checks.id(row), "event ids");
  }
}
