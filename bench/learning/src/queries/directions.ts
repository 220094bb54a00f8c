import { EmbeddingIndex } from "microlora";

/** The directions in which queries lie, which know nothing of any user. @param reach root mean square of |x A| over them */
export async function directionsFor(
  queries: readonly Float32Array[],
  rank: number,
  reach: number,
): Promise<Float32Array[]> {
  using index = await EmbeddingIndex.create(queries.map((vector, row) => [row, vector] as const));
  const directions = index.directions(rank);
  let squares = 0;
  for (const query of queries) {
    for (const direction of directions) squares += query.reduce((sum, x, i) => sum + x * direction[i]!, 0) ** 2;
  }
  const scale = reach / Math.sqrt(squares / queries.length);
  return directions.map((direction) => direction.map((value) => scale * value));
}
