import type { SearchIndex } from "@microlora/search";
import { MicroLoraError } from "microlora";

/** A database of `node:sqlite` or `better-sqlite3` into which sqlite-vec was loaded. */
export interface SqliteDatabase {
  /** Prepares one statement. */
  prepare(sql: string): { all(...values: unknown[]): unknown[]; run(...values: unknown[]): unknown };
}

/** Options of the sqlite-vec index. */
export interface SqliteVecOptions {
  /** The database that has the documents. */
  readonly database: SqliteDatabase;
  /** A table made by `CREATE VIRTUAL TABLE … USING vec0(embedding float[256] distance_metric=cosine)`. */
  readonly table: string;
  /** The column of embeddings; `embedding` by default. */
  readonly embedding?: string;
}

/**
 * A table of sqlite-vec as the index of a `PersonalSearch`. Ids are row ids; `filter` is a condition of SQL over the table's metadata columns.
 * @throws MicroLoraError `invalid-argument` for a name that is not one
 */
export function sqliteVecIndex({ database, ...names }: SqliteVecOptions): SearchIndex<number, never, string> {
  const table = quoted(names.table);
  const embedding = quoted(names.embedding ?? "embedding");
  return {
    search(query, k, { filter }) {
      const condition = filter === undefined ? "" : `AND (${filter})`;
      const sql = `SELECT rowid AS id, distance FROM ${table} WHERE ${embedding} MATCH ? AND k = ? ${condition} ORDER BY distance`;
      const rows = database.prepare(sql).all(bytesOf(query), k) as { readonly id: number; readonly distance: number }[];
      return rows.map(({ id, distance }) => ({ id, score: 1 - distance }));
    },
    vectorOf(id) {
      const sql = `SELECT ${embedding} AS vector FROM ${table} WHERE rowid = ?`;
      const [row] = database.prepare(sql).all(BigInt(id)) as { readonly vector: Uint8Array }[];
      return row && new Float32Array(row.vector.slice().buffer);
    },
    add(id, vector) {
      database.prepare(`INSERT INTO ${table}(rowid, ${embedding}) VALUES (?, ?)`).run(BigInt(id), bytesOf(vector));
    },
    remove(id) {
      const found = database.prepare(`SELECT rowid FROM ${table} WHERE rowid = ?`).all(BigInt(id));
      database.prepare(`DELETE FROM ${table} WHERE rowid = ?`).run(BigInt(id));
      return found.length > 0;
    },
  };
}

function bytesOf(vector: Float32Array): Uint8Array {
  return new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength);
}

function quoted(name: string): string {
  if (typeof name === "string" && name !== "" && !name.includes("\0")) return `"${name.replaceAll('"', '""')}"`;
  throw new MicroLoraError(
    "invalid-argument",
    "name",
    `is ${JSON.stringify(name)}`,
    "Pass the name of a table or column",
  );
}
