import type { TextEmbedder } from "@microlora/embed";
import { EmbeddingIndex, type Runtime } from "microlora";

/** An emoji, or the elements of an icon as [tag, attributes]. */
export type Picture = string | readonly (readonly [tag: string, attributes: Readonly<Record<string, string>>])[];

export interface Entry {
  readonly id: string;
  readonly title: string;
  readonly picture: Picture | null;
}

export interface Name {
  readonly id: string;
  readonly query: Float32Array;
}

/** Documents by name, each embedded once. */
export interface Corpus {
  readonly name: string;
  readonly entries: ReadonlyMap<string, Entry>;
  readonly index: EmbeddingIndex<string>;
  /** Queries at which learning is not aimed: names, each of which has to find its document. */
  readonly names: readonly Name[];
  /** Sum of the names' reciprocal ranks without learning. */
  readonly namesFound: number;
}

/** How many names are searched after each click, to see what it cost elsewhere. */
const NAMES = 300;

/** How deep a name is looked for. */
export const DEPTH = 10;

export async function makeCorpus(
  name: string,
  entries: readonly Entry[],
  embedder: TextEmbedder,
  runtime: Runtime,
): Promise<Corpus> {
  const known = entries
    .map((entry) => ({ entry, vector: embedder.embed(entry.title) }))
    .filter(({ vector }) => vector.some((value) => value !== 0));
  const index = EmbeddingIndex.createSync(
    known.map(({ entry, vector }) => [entry.id, vector] as const),
    { runtime, embedder },
  );
  const step = Math.max(1, Math.floor(known.length / NAMES));
  const names = known
    .filter((_, i) => i % step === 0)
    .slice(0, NAMES)
    .map(({ entry, vector }) => ({ id: entry.id, query: vector }));
  return {
    name,
    entries: new Map(known.map(({ entry }) => [entry.id, entry])),
    index,
    names,
    namesFound: foundOf(names, (query) => index.search(query, DEPTH)),
  };
}

/** Sum of the reciprocal ranks of documents that are searched by their names. */
export function foundOf(
  names: readonly Name[],
  search: (query: Float32Array) => readonly { readonly id: string }[],
): number {
  return names.reduce((sum, { id, query }) => {
    const rank = search(query).findIndex((hit) => hit.id === id);
    return rank === -1 ? sum : sum + 1 / (rank + 1);
  }, 0);
}

/** The corpora that come with the page. @throws Error if the server does not have the file */
export async function fetchEntries(name: string): Promise<Entry[]> {
  const response = await fetch(new URL(`corpora/${name}.json`, new URL("../", self.location.href)));
  if (!response.ok) throw new Error(`corpora/${name}.json: ${response.status} ${response.statusText}`);
  const rows = (await response.json()) as [string, string, Picture][];
  return rows.map(([id, title, picture]) => ({ id, title, picture }));
}
