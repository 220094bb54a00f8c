import type { SearchIndex } from "@microlora/search";

/** The functions of `@orama/orama` that are used here: `import * as orama from "@orama/orama"`. */
export interface Orama<Database> {
  /** Searches a database. */
  // biome-ignore lint/suspicious/noExplicitAny: Orama types its parameters by the schema of the database, which is not known here.
  search(database: Database, params: any): unknown;
  /** The document of an id. */
  getByID(database: Database, id: string): unknown;
}

interface Found {
  readonly hits: readonly { readonly id: string; readonly score: number; readonly document: Record<string, unknown> }[];
}

/**
 * A database of Orama as the index of a `PersonalSearch`; `filter` is a `where` of Orama's, and the payload is the document.
 * @param property the property of type `vector[n]`; `embedding` by default
 */
export function oramaIndex<Database, Payload = Record<string, unknown>>(
  orama: Orama<Database>,
  database: Database,
  property = "embedding",
): SearchIndex<string, Payload, Record<string, unknown>> {
  return {
    async search(query, k, { filter }) {
      const { hits } = (await orama.search(database, {
        mode: "vector",
        vector: { value: [...query], property },
        similarity: -1,
        // Without it, Orama takes the vectors out of its own documents.
        includeVectors: true,
        limit: k,
        ...(filter !== undefined && { where: filter }),
      })) as Found;
      return hits.map(({ id, score, document }) => {
        const { [property]: _, ...payload } = document;
        return { id, score, payload: payload as Payload };
      });
    },
    async vectorOf(id) {
      const document = (await orama.getByID(database, id)) as Record<string, number[]> | undefined;
      return document?.[property];
    },
  };
}
