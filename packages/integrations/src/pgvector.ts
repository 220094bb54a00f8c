import type { SearchIndex } from "@microlora/search";
import { type DocumentId, MicroLoraError } from "microlora";

/** A client or a pool of `pg`, or PGlite. */
export interface PgClient {
  /** Runs one statement with its values. */
  query(text: string, values: unknown[]): Promise<{ readonly rows: readonly unknown[] }>;
}

/** A condition of SQL over columns of the table, whose values are `$1`, `$2`, … */
export interface PgFilter {
  /** Condition in SQL. */
  readonly where: string;
  /** Values of the condition's parameters. */
  readonly values?: readonly unknown[];
}

/** Options of the pgvector index. */
export interface PgVectorOptions {
  /** A client or a pool of node-postgres, or its like. */
  readonly client: PgClient;
  /** The table, with its schema if need be: `shop.products`. */
  readonly table: string;
  /** The column of ids; `id` by default. */
  readonly id?: string;
  /** The column of type `vector`; `embedding` by default. */
  readonly embedding?: string;
  /** Columns that become the payload; none by default. */
  readonly payload?: readonly string[];
}

/**
 * A table of PostgreSQL with pgvector as the index of a `PersonalSearch`. Documents are added and removed by your own SQL; an index with
 * `vector_cosine_ops` serves the search.
 * @throws MicroLoraError `invalid-argument` for a name that is not one
 */
export function pgVectorIndex<Id extends DocumentId = number, Payload = Record<string, unknown>>({
  client,
  ...names
}: PgVectorOptions): SearchIndex<Id, Payload, PgFilter> {
  const table = names.table.split(".").map(quoted).join(".");
  const id = quoted(names.id ?? "id");
  const embedding = quoted(names.embedding ?? "embedding");
  const columns = names.payload ?? [];
  const selected = [`${id} AS microlora_id`, ...columns.map(quoted)].join(", ");
  return {
    async search(query, k, { filter }) {
      const values = filter?.values ?? [];
      const at = `$${values.length + 1}::vector`;
      const where = filter === undefined ? "" : `WHERE (${filter.where})`;
      const text = `SELECT ${selected}, 1 - (${embedding} <=> ${at}) AS microlora_score FROM ${table} ${where}
        ORDER BY ${embedding} <=> ${at} LIMIT $${values.length + 2}`;
      const { rows } = await client.query(text, [...values, vectorText(query), k]);
      return (rows as Record<string, unknown>[]).map((row) => {
        const hit = { id: row.microlora_id as Id, score: Number(row.microlora_score) };
        if (columns.length === 0) return hit;
        return { ...hit, payload: Object.fromEntries(columns.map((name) => [name, row[name]])) as Payload };
      });
    },
    async vectorOf(wanted) {
      const text = `SELECT ${embedding}::text AS vector FROM ${table} WHERE ${id} = $1`;
      const { rows } = await client.query(text, [wanted]);
      const [row] = rows as { readonly vector: string | null }[];
      return row?.vector ? (JSON.parse(row.vector) as number[]) : undefined;
    },
  };
}

/** A vector as pgvector reads it. */
export function vectorText(vector: ArrayLike<number>): string {
  return `[${Array.from(vector).join()}]`;
}

function quoted(name: string): string {
  const isName = typeof name === "string" && name !== "" && !name.includes("\0");
  if (isName) return `"${name.replaceAll('"', '""')}"`;
  throw new MicroLoraError(
    "invalid-argument",
    "name",
    `is ${JSON.stringify(name)}`,
    "Pass the name of a table or column",
  );
}
