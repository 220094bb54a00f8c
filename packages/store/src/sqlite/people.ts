import { joinFields } from "../base/bytes.js";
import { corrupt } from "../base/errors.js";
import type { TenantId, UserId, UserKey } from "../contract/keys.js";
import type { UserSummary } from "../contract/store.js";
import type { SqliteParts } from "./driver.js";
import { nameOf, type RowChecks, type SubjectRow, type UserRow } from "./rows.js";

type StoredUser = UserRow & { readonly crc: number };
type StoredSubject = SubjectRow & { readonly crc: number };

const SECRET_BYTES = 16;

/** A user who is there, or the seq at which a new one would begin. */
export type Person = { readonly row: UserRow; readonly start: number } | { readonly row: null; readonly start: number };

/**
 * The users who are there, and the tombstones of those who were. Each user is in two tables that are searched by different keys, so that a
 * user whom damage hides in one of them is not taken for a new one.
 */
export class People {
  readonly #checks: RowChecks;
  readonly #parts: SqliteParts;
  readonly #salt: Uint8Array;
  readonly #statements;

  constructor(parts: SqliteParts, checks: RowChecks, salt: Uint8Array) {
    this.#parts = parts;
    this.#checks = checks;
    this.#salt = salt;
    const { database } = parts;
    this.#statements = {
      byName: database.prepare("SELECT * FROM user WHERE tenant = ? AND name = ?"),
      byId: database.prepare("SELECT * FROM user WHERE id = ?"),
      page: database.prepare("SELECT * FROM user WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?"),
      after: database.prepare("SELECT * FROM user WHERE id > ? ORDER BY id LIMIT 256"),
      subject: database.prepare("SELECT * FROM subject WHERE hash = ?"),
      insert: database.prepare(
        "INSERT INTO user (tenant, name, start, seq, updated, secret, crc) VALUES (?, ?, ?, ?, ?, ?, 0) RETURNING id",
      ),
      update: database.prepare("UPDATE user SET seq = ?, updated = ?, crc = ? WHERE id = ?"),
      remove: database.prepare("DELETE FROM user WHERE id = ?"),
      putSubject: database.prepare("INSERT OR REPLACE INTO subject (hash, user, seq, crc) VALUES (?, ?, ?, ?)"),
    };
  }

  /** @throws StoreError `corrupt-store` */
  find(key: UserKey): Person {
    const found = this.#statements.byName.get(key.tenant, key.user) as StoredUser | undefined;
    if (found !== undefined) {
      const row = this.#checked(found);
      if (row.tenant !== key.tenant || row.name !== key.user) throw corrupt(nameOf(key), "another user has its place");
      return { row, start: row.start };
    }
    const subject = this.#subject(key);
    if (subject !== null && subject.user !== null) throw corrupt(nameOf(key), "its row is gone");
    return { row: null, start: subject?.seq ?? 0 };
  }

  /** A user by number; undefined if that one was erased. @throws StoreError `corrupt-store` */
  byId(id: number): UserRow | undefined {
    const found = this.#statements.byId.get(id) as StoredUser | undefined;
    return found && this.#checked(found);
  }

  /** @throws StoreError `corrupt-store` */
  create(key: UserKey, start: number): UserRow {
    const { tenant, user: name } = key;
    const secret = this.#parts.randomBytes(SECRET_BYTES);
    const { id } = this.#statements.insert.get(tenant, name, start, start, 0, secret) as { id: number };
    this.#putSubject({ hash: this.#hashOf(key), user: id, seq: 0 });
    return { id, tenant, name, start, seq: start, updated: 0, secret };
  }

  /** Writes where the log of a user ends. */
  advance(row: UserRow, seq: number, updated: number): void {
    const advanced = { ...row, seq, updated };
    this.#statements.update.run(seq, updated, this.#checks.user(advanced), row.id);
  }

  /** Removes a user and leaves a tombstone. */
  bury(key: UserKey, row: UserRow, seq: number): void {
    this.#statements.remove.run(row.id);
    this.#putSubject({ hash: this.#hashOf(key), user: null, seq });
  }

  page(tenant: TenantId, after: string, limit: number): UserSummary[] {
    const rows = this.#statements.page.all(tenant, after, limit) as StoredUser[];
    return rows.map((found) => {
      const { name, seq, updated } = this.#checked(found);
      return { user: name as UserId, seq, updated };
    });
  }

  /** Every user, a few at a time. */
  *all(): Iterable<UserRow> {
    let rows: StoredUser[] = [];
    do {
      rows = this.#statements.after.all(rows.at(-1)?.id ?? 0) as StoredUser[];
      for (const row of rows) yield this.#checked(row);
    } while (rows.length > 0);
  }

  #subject(key: UserKey): SubjectRow | null {
    const found = this.#statements.subject.get(this.#hashOf(key)) as StoredSubject | undefined;
    return found === undefined ? null : this.#checks.checked(found, this.#checks.subject(found), nameOf(key));
  }

  #putSubject(row: SubjectRow): void {
    this.#statements.putSubject.run(row.hash, row.user, row.seq, this.#checks.subject(row));
  }

  #hashOf({ tenant, user }: UserKey): Uint8Array {
    return this.#parts.hash(joinFields([this.#salt, "user", tenant, user]));
  }

  #checked(row: StoredUser): UserRow {
    return this.#checks.checked(row, this.#checks.user(row), `user ${row.id}`);
  }
}
