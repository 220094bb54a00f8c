import { createRequire } from "node:module";
import type { TextEmbedder } from "@microlora/embed";

/** A document of the search: found by its name. */
export interface Emoji {
  readonly emoji: string;
  readonly name: string;
  readonly group: string;
}

/** A query of the search, with the documents that it is known to fit. */
export interface Keyword {
  readonly text: string;
  readonly vector: Float32Array;
  /** Rows of the documents that carry it. */
  readonly relevant: readonly number[];
}

export interface Corpus {
  readonly documents: readonly Emoji[];
  /** Unit vectors of the names, in the same order. */
  readonly vectors: readonly Float32Array[];
  readonly keywords: readonly Keyword[];
}

/** Emoji names as documents and keywords as queries, from emojilib and unicode-emoji-json, embedded. */
export function loadCorpus(embedder: TextEmbedder): Corpus {
  const require = createRequire(import.meta.url);
  const facts: Readonly<Record<string, { name: string; group: string }>> = require("unicode-emoji-json");
  const keywordsOf: Readonly<Record<string, readonly string[]>> = require("emojilib");
  const documents: Emoji[] = [];
  const relevant = new Map<string, number[]>();
  for (const [emoji, keywords] of Object.entries(keywordsOf)) {
    const known = facts[emoji];
    if (known === undefined) continue;
    const row = documents.push({ emoji, name: known.name, group: known.group }) - 1;
    const texts = new Set(keywords.map((keyword) => keyword.replaceAll("_", " ").toLowerCase().trim()));
    // A keyword equal to the emoji's own name would be found without any understanding.
    texts.delete(known.name.toLowerCase());
    for (const text of texts) relevant.set(text, [...(relevant.get(text) ?? []), row]);
  }
  const texts = [...relevant.keys()];
  const vectors = embedder.embedBatch(texts);
  return {
    documents,
    vectors: embedder.embedBatch(documents.map(({ name }) => name)),
    keywords: texts.map((text, i) => ({ text, vector: vectors[i]!, relevant: relevant.get(text)! })),
  };
}
