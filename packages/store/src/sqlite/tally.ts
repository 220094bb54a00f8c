import { corrupt, StoreError } from "../base/errors.js";
import type { SqliteParts } from "./driver.js";
import type { RowChecks, TallyRow } from "./rows.js";

const SALT_BYTES = 16;

/** Counts commits, users and ids, and holds them against what is there. */
export class Tally {
  readonly salt: Uint8Array;
  readonly #checks: RowChecks;
  readonly #parts: SqliteParts;
  readonly #update;
  #row: TallyRow;
  #users = 0;
  #ids = 0;

  /** @throws StoreError `corrupt-store`, `lost-commits` */
  constructor(parts: SqliteParts, checks: RowChecks) {
    this.#parts = parts;
    this.#checks = checks;
    this.#update = parts.database.prepare("UPDATE tally SET commits = ?, users = ?, ids = ?, crc = ?");
    this.#row = this.#read() ?? this.#begin();
    this.salt = this.#row.salt;
    const { commits } = this.#row;
    const known = parts.witness.read();
    if (commits < known) throw refuseLost(parts.path, known, commits);
    if (commits > known) parts.witness.write(commits);
  }

  get users(): number {
    return this.#row.users;
  }

  get ids(): number {
    return this.#row.ids;
  }

  /** Notes what the transaction that is open adds or removes. */
  add(change: { readonly users?: number; readonly ids?: number }): void {
    this.#users += change.users ?? 0;
    this.#ids += change.ids ?? 0;
  }

  /** Writes the counts into the transaction that is open. */
  beforeCommit(): void {
    const { salt, commits, users, ids } = this.#row;
    const row = { salt, commits: commits + 1, users: users + this.#users, ids: ids + this.#ids };
    this.#update.run(row.commits, row.users, row.ids, this.#checks.tally(row));
  }

  afterCommit(): void {
    const { salt, commits, users, ids } = this.#row;
    this.#row = { salt, commits: commits + 1, users: users + this.#users, ids: ids + this.#ids };
    this.beginTransaction();
    this.#parts.witness.write(this.#row.commits);
  }

  /** Forgets what an undone transaction noted. */
  beginTransaction(): void {
    this.#users = 0;
    this.#ids = 0;
  }

  /** @throws StoreError `corrupt-store` where rows are missing */
  compare(name: "users" | "ids", found: number): void {
    if (found === this.#row[name]) return;
    throw corrupt(this.#parts.path, `${this.#row[name]} ${name} were written, and ${found} are there`);
  }

  #read(): TallyRow | undefined {
    const row = this.#parts.database.prepare("SELECT * FROM tally").get() as (TallyRow & { crc: number }) | undefined;
    return row && this.#checks.checked(row, this.#checks.tally(row), this.#parts.path);
  }

  #begin(): TallyRow {
    const known = this.#parts.witness.read();
    if (known > 0) throw refuseLost(this.#parts.path, known, 0);
    const row: TallyRow = { salt: this.#parts.randomBytes(SALT_BYTES), commits: 0, users: 0, ids: 0 };
    const insert = this.#parts.database.prepare("INSERT INTO tally VALUES (1, ?, 0, 0, 0, ?)");
    insert.run(row.salt, this.#checks.tally(row));
    return row;
  }
}

function refuseLost(path: string, known: number, found: number): StoreError {
  const problem = `${known} commits were acknowledged, and ${found} are there`;
  const remedy = `Restore a backup; or delete ${path}.witness to go on without the others`;
  return new StoreError("lost-commits", path, problem, remedy);
}
