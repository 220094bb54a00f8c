/** A value of SQLite; integers are numbers, except row ids, which are bigints. */
export type SqliteValue = null | number | bigint | string | Uint8Array;
export type SqliteRow = Readonly<Record<string, SqliteValue>>;

/** A compiled statement, as in `node:sqlite`. */
export interface SqliteStatement {
  run(...values: SqliteValue[]): { readonly changes: number | bigint };
  get(...values: SqliteValue[]): unknown;
  all(...values: SqliteValue[]): unknown[];
}

/** A synchronous connection, as in `node:sqlite` and `@photostructure/sqlite`. */
export interface SqliteDatabase {
  /** Whether a transaction is open: SQLite ends one by itself after some errors. */
  readonly isTransaction: boolean;
  exec(sql: string): void;
  prepare(sql: string): SqliteStatement;
  close(): void;
}

/** What a SQLite home is made of; `node.ts` brings it together. */
export interface SqliteParts {
  readonly database: SqliteDatabase;
  /** The path, for messages. */
  readonly path: string;
  readonly witness: CommitWitness;
  crc32(bytes: Uint8Array): number;
  /** SHA-256, the first 16 bytes. */
  hash(bytes: Uint8Array): Uint8Array;
  randomBytes(count: number): Uint8Array;
  /** Runs something after what is ready by now. */
  defer(run: () => void): void;
  /** Copies the database, as of one moment, to a path at which nothing is. */
  backup(to: string): Promise<void>;
}

/**
 * Counts commits outside the database. SQLite takes a damaged write-ahead log for one that ends before the damage, and goes on without the
 * commits after it; the witness makes that loss known.
 */
export interface CommitWitness {
  /** The largest count that was written; 0 if there is none. */
  read(): number;
  write(commits: number): void;
  close(): void;
}
