import type { SearchIndex } from "@microlora/search";

/** The parts of an `Index` of usearch that are used here. */
export interface UsearchIndex {
  /** Adds a vector under a key. */
  add(key: bigint, vector: Float32Array): void;
  /** The keys nearest to a vector. */
  search(
    vector: Float32Array,
    k: number,
    threads: number,
  ): { readonly keys: BigUint64Array; readonly distances: Float32Array };
  /** Removes a key. */
  remove(key: bigint): number | number[];
  /** Number of vectors. */
  size(): number;
}

/**
 * An index of usearch with the metric `cos` as the index of a `PersonalSearch`. usearch does not give vectors back, so they are kept beside it:
 * 4 bytes a dimension. A filter is a function of id and payload; documents that it refuses are searched past.
 * @param documents what the index holds already
 */
export function usearchIndex<Payload = unknown>(
  index: UsearchIndex,
  documents: Iterable<readonly [id: bigint, vector: Float32Array, payload?: Payload]> = [],
): SearchIndex<bigint, Payload, (id: bigint, payload: Payload | undefined) => boolean> {
  const known = new Map<bigint, { readonly vector: Float32Array; readonly payload: Payload | undefined }>();
  for (const [id, vector, payload] of documents) known.set(id, { vector, payload });
  const hitsOf = (query: Float32Array, count: number) => {
    const { keys, distances } = index.search(query, count, 0);
    return Array.from(keys, (id, i) => {
      const payload = known.get(id)?.payload;
      return { id, score: 1 - distances[i]!, ...(payload !== undefined && { payload }) };
    });
  };
  return {
    search(query, k, { filter }) {
      const size = index.size();
      for (let count = Math.min(k, size); ; count = Math.min(2 * count, size)) {
        if (count === 0) return [];
        const all = hitsOf(query, count);
        const hits = filter === undefined ? all : all.filter(({ id, payload }) => filter(id, payload));
        if (hits.length >= k || count === size) return hits.slice(0, k);
      }
    },
    vectorOf: (id) => known.get(id)?.vector,
    add(id, vector, payload) {
      index.add(id, vector);
      known.set(id, { vector, payload });
    },
    remove(id) {
      if (!known.delete(id)) return false;
      index.remove(id);
      return true;
    },
  };
}
