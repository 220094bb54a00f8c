import {
  type Choice,
  centroid,
  createRandom,
  type Matrix,
  matrixOf,
  type Named,
  noisyNames,
  range,
  row,
  rowsOf,
  shuffle,
} from "@microlora/evaluate";
import { embedTexts, type Films, readJson, readVectors } from "./files.js";
import type { Problem } from "./problem.js";

const CANDIDATES = 50;
const LEAST_CHOICES = 20;
const LIKED = 4;

export interface FilmOptions {
  readonly set: "films" | "films-100k";
  /** Texts by our embedder, by MiniLM, or vectors by collaborative filtering. */
  readonly space: "static" | "minilm" | "cf";
  /** A film of a genre, or the next one after the film that was liked last. */
  readonly ask: "genre" | "next";
  /** Choices among the whole index instead of the film and 49 others. */
  readonly whole?: boolean;
  /** Ratings of every film instead of choices of the liked ones. */
  readonly ratings?: boolean;
}

/** People of MovieLens who look for a film by genre, or for the next one. */
export async function filmProblem(options: FilmOptions): Promise<Problem> {
  const { set, ask, whole = false, ratings = false } = options;
  const films = readJson<Films>(set);
  const kinds = [...new Set(films.genres.flat())].sort();
  const { items, genres, named } = await spaceOf(films, kinds, options);
  const random = createRandom(14);
  const people = films.users.map(({ split, events }) => {
    const own = new Set(events.map(([film]) => film));
    const choices: Choice[] = [];
    let last = -1;
    for (const [film, stars] of ratings ? events : events.filter(([, stars]) => stars >= LIKED)) {
      const theirs = films.genres[film]!;
      const topic = kinds.indexOf(theirs[Math.floor(random() * theirs.length)]!);
      const asked = ask === "genre" ? topic : last;
      last = film;
      if (asked < 0) continue;
      const query = row(ask === "genre" ? genres : items, asked);
      const shown = whole ? null : candidates(items.rows, film, own, random);
      choices.push({ query, chosen: film, shown, topic, ...(ratings && { rating: ratingOf(stars) }) });
    }
    return { split, choices };
  });
  return {
    items,
    people: people.filter(({ choices }) => choices.length >= LEAST_CHOICES),
    popularity: Float64Array.from(films.popularity),
    named,
    indexed: true,
    rated: ratings,
  };
}

async function spaceOf(
  films: Films,
  kinds: readonly string[],
  { set, space }: FilmOptions,
): Promise<{ items: Matrix; genres: Matrix; named: Named }> {
  const n = films.genres.length;
  if (space === "cf") {
    const items = readVectors(set, 64);
    const rowsOfKind = (kind: string) => [...range(n)].filter((i) => films.genres[i]!.includes(kind));
    return {
      items,
      genres: matrixOf(kinds.map((kind) => centroid(items, rowsOfKind(kind)))),
      named: noisyNames(items),
    };
  }
  const all = space === "static" ? await embedTexts(set) : readVectors(`${set}.minilm`, 384);
  const after = n + kinds.length;
  return {
    items: rowsOf(all, 0, n),
    genres: rowsOf(all, n, after),
    named: { names: rowsOf(all, after, after + n), halves: rowsOf(all, after + n, after + 2 * n) },
  };
}

/** The chosen item among 49 others that the person never had, in random order. */
export function candidates(n: number, chosen: number, own: ReadonlySet<number>, random: () => number): Int32Array {
  const shown = new Set<number>();
  while (shown.size < CANDIDATES - 1) {
    const i = Math.floor(random() * n);
    if (i !== chosen && !own.has(i)) shown.add(i);
  }
  return Int32Array.from(shuffle([chosen, ...shown], random));
}

/** Stars as a rating in [-1, 1], as the library has it: half a star is as bad as one. */
function ratingOf(stars: number): number {
  return Math.max(-1, (stars - 3) / 2);
}
