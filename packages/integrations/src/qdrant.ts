import type { SearchIndex } from "@microlora/search";

/** The parts of the client of `@qdrant/js-client-rest` that are used here. */
export interface QdrantClient {
  /** The points nearest to a vector. */
  search(
    collection: string,
    request: { vector: number[]; limit: number; filter?: Record<string, unknown>; with_payload: boolean },
  ): Promise<readonly { id: string | number; score: number; payload?: Record<string, unknown> | null }[]>;
  /** Points by their ids. */
  retrieve(
    collection: string,
    request: { ids: (string | number)[]; with_vector: boolean },
  ): Promise<readonly { vector?: unknown }[]>;
}

/** A collection of Qdrant with cosine distance as the index of a `PersonalSearch`; `filter` is one of Qdrant's. */
export function qdrantIndex<Payload = Record<string, unknown>>(
  client: QdrantClient,
  collection: string,
): SearchIndex<string | number, Payload, Record<string, unknown>> {
  return {
    async search(query, k, { filter }) {
      const request = { vector: [...query], limit: k, with_payload: true, ...(filter !== undefined && { filter }) };
      const points = await client.search(collection, request);
      return points.map(({ id, score, payload }) => ({ id, score, ...(payload && { payload: payload as Payload }) }));
    },
    async vectorOf(id) {
      const [point] = await client.retrieve(collection, { ids: [id], with_vector: true });
      return Array.isArray(point?.vector) ? (point.vector as number[]) : undefined;
    },
  };
}
