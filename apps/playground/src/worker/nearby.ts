import { PERSONALIZER_DEFAULTS } from "microlora";
import type { Corpus } from "./corpus.js";
import type { Person } from "./person.js";

/** A point of the map, in a plane that the learned step lies in. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Nearby {
  readonly before: Point;
  readonly after: Point;
  readonly documents: readonly (Point & { readonly id: string; readonly side: "mine" | "everyone" | "both" })[];
  /** Earlier queries that act on this one, with their shares in [0, 1]. */
  readonly memories: readonly (Point & { readonly query: string; readonly share: number })[];
}

/** Recall's routing: its sharpness, and the similarity at which a kept query counts as much as none. */
const { sharpness, nullSimilarity } = PERSONALIZER_DEFAULTS.recall;

/**
 * A map around a query: axis x is the way that learning moved it, axis y the direction in which the documents around differ most.
 * @param mine the documents that the user finds, @param everyone those of the query as it came
 */
export function mapOf(
  { corpus, person, embed }: { corpus: Corpus; person: Person; embed: (text: string) => Float32Array },
  query: Float32Array,
  mine: readonly string[],
  everyone: readonly string[],
): Nearby {
  const before = unit(query);
  const after = unit(person.personalizer.transform(query, corpus.index));
  const ids = [...new Set([...mine, ...everyone])];
  const vectors = ids.map((id) => corpus.index.vectorOf(id)!);
  const mean = before.map((_, i) => vectors.reduce((sum, vector) => sum + vector[i]!, 0) / vectors.length);
  const residuals = vectors.map((vector) => vector.map((value, i) => value - mean[i]!));
  const step = after.map((value, i) => value - before[i]!);
  const x = length(step) > 1e-6 ? unit(step) : principal(residuals, null);
  const y = principal(residuals, x);
  const placed = (vector: Float32Array): Point => ({ x: dot(vector, x), y: dot(vector, y) });
  return {
    before: placed(before),
    after: placed(after),
    documents: ids.map((id, i) => ({ ...placed(vectors[i]!), id, side: sideOf(id, mine, everyone) })),
    memories: memoriesOf(person, before, embed).map(({ vector, ...memory }) => ({ ...memory, ...placed(vector) })),
  };
}

function sideOf(id: string, mine: readonly string[], everyone: readonly string[]) {
  if (!mine.includes(id)) return "everyone";
  return everyone.includes(id) ? "both" : "mine";
}

function memoriesOf(person: Person, query: Float32Array, embed: (text: string) => Float32Array) {
  const queries = [...new Set(person.clicks.map((click) => click.query))];
  const weighed = queries.map((text) => {
    const vector = unit(embed(text));
    return { query: text, vector, weight: Math.exp(sharpness * (dot(vector, query) - nullSimilarity)) };
  });
  const total = weighed.reduce((sum, { weight }) => sum + weight, 1);
  return weighed
    .map(({ query: text, vector, weight }) => ({ query: text, vector, share: weight / total }))
    .filter(({ share }) => share > 0.02)
    .slice(-8);
}

/** The first principal direction, by power iteration; at right angles to another one. */
function principal(rows: readonly Float32Array[], apart: Float32Array | null): Float32Array {
  let direction = unit(Float32Array.from(rows[0] ?? [1], (value, i) => value + 1e-3 * Math.sin(i + 1)));
  for (let round = 0; round < 20; round++) {
    const next = new Float32Array(direction.length);
    for (const row of rows) {
      const along = dot(row, direction);
      for (let i = 0; i < next.length; i++) next[i]! += along * row[i]!;
    }
    if (apart !== null) {
      const shared = dot(next, apart);
      for (let i = 0; i < next.length; i++) next[i]! -= shared * apart[i]!;
    }
    if (length(next) < 1e-9) break;
    direction = unit(next);
  }
  return direction;
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0);
}

function length(vector: Float32Array): number {
  return Math.sqrt(dot(vector, vector));
}

function unit(vector: Float32Array): Float32Array {
  const by = length(vector) || 1;
  return vector.map((value) => value / by);
}
