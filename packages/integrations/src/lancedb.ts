import type { SearchIndex } from "@microlora/search";
import type { DocumentId } from "microlora";

/** The parts of a table of LanceDB that are used here. */
export interface LanceTable {
  /** Begins a search for the nearest rows. */
  vectorSearch(vector: Float32Array): LanceQuery & { distanceType(type: "cosine"): LanceQuery };
  /** Begins a query over the rows. */
  query(): LanceQuery;
}

interface LanceQuery {
  where(condition: string): this;
  limit(count: number): this;
  toArray(): Promise<unknown[]>;
}

/** Options of the LanceDB index. */
export interface LanceOptions {
  /** The table that has the documents. */
  readonly table: LanceTable;
  /** The column of ids; `id` by default. */
  readonly id?: string;
  /** The column of embeddings; `vector` by default. */
  readonly vector?: string;
}

/** A table of LanceDB as the index of a `PersonalSearch`; `filter` is a condition of its SQL, and the payload is the row. */
export function lanceIndex<Id extends string | number | bigint = string, Payload = Record<string, unknown>>({
  table,
  id = "id",
  vector = "vector",
}: LanceOptions): SearchIndex<Id, Payload, string> {
  return {
    async search(query, k, { filter }) {
      const nearest = table.vectorSearch(query).distanceType("cosine").limit(k);
      const rows = await (filter === undefined ? nearest : nearest.where(filter)).toArray();
      return (rows as Record<string, unknown>[]).map((row) => {
        const { _distance, [vector]: _, ...payload } = { ...row };
        return { id: row[id] as Id, score: 1 - Number(_distance), payload: payload as Payload };
      });
    },
    async vectorOf(wanted) {
      const [row] = await table
        .query()
        .where(`${id} = ${literal(wanted)}`)
        .limit(1)
        .toArray();
      if (row === undefined) return undefined;
      return Float32Array.from((row as Record<string, Iterable<number>>)[vector]!);
    },
  };
}

/** An id as SQL has it. */
function literal(id: DocumentId): string {
  return typeof id === "string" ? `'${id.replaceAll("'", "''")}'` : String(id);
}
