import { createRequire } from "node:module";
import type { TextEmbedder } from "@microlora/embed";
import { stemmer } from "stemmer";

/** A document of the search: found by its name. */
export interface Emoji {
  readonly emoji: string;
  readonly name: string;
  readonly group: string;
}

/** A query of the search, with the documents that it is known to fit. */
export interface Keyword {
  readonly text: string;
  /** Stems of its words (Porter 1980). */
  readonly stems: readonly string[];
  /** Rows of the documents that carry it. */
  readonly relevant: readonly number[];
}

export interface Corpus {
  readonly documents: readonly Emoji[];
  readonly keywords: readonly Keyword[];
  readonly groups: readonly string[];
}

/** A corpus with the embeddings of its texts, unit vectors in the same order. */
export interface EmbeddedCorpus extends Corpus {
  readonly documentVectors: readonly Float32Array[];
  readonly keywordVectors: readonly Float32Array[];
}

type KeywordsByEmoji = Readonly<Record<string, readonly string[]>>;
type FactsByEmoji = Readonly<Record<string, { readonly name: string; readonly group: string }>>;

const require = createRequire(import.meta.url);

/** Emoji names as documents and keywords as queries, from emojilib and unicode-emoji-json. */
export function loadCorpus(): Corpus {
  const facts: FactsByEmoji = require("unicode-emoji-json");
  const keywordsOf: KeywordsByEmoji = require("emojilib");
  return buildCorpus(facts, keywordsOf);
}

/** A keyword equal to the emoji's own name is dropped: it would be found without any understanding. */
export function buildCorpus(facts: FactsByEmoji, keywordsOf: KeywordsByEmoji): Corpus {
  const documents: Emoji[] = [];
  const relevant = new Map<string, number[]>();
  for (const [emoji, keywords] of Object.entries(keywordsOf)) {
    const known = facts[emoji];
    if (known === undefined) continue;
    const row = documents.push({ emoji, name: known.name, group: known.group }) - 1;
    const texts = new Set(keywords.map((keyword) => keyword.replaceAll("_", " ").toLowerCase().trim()));
    texts.delete(known.name.toLowerCase());
    for (const text of texts) relevant.set(text, [...(relevant.get(text) ?? []), row]);
  }
  const keywords = [...relevant].map(([text, rows]) => ({ text, stems: stemsOf(text), relevant: rows }));
  return { documents, keywords, groups: [...new Set(documents.map(({ group }) => group))] };
}

export function embedCorpus(corpus: Corpus, embedder: TextEmbedder): EmbeddedCorpus {
  return {
    ...corpus,
    documentVectors: embedder.embedBatch(corpus.documents.map(({ name }) => name)),
    keywordVectors: embedder.embedBatch(corpus.keywords.map(({ text }) => text)),
  };
}

/** The stem of each word; a text without letters or digits, such as ":)", is its own stem. */
export function stemsOf(text: string): string[] {
  return (text.match(/[\p{L}\p{N}]+/gu) ?? [text]).map((word) => stemmer(word));
}
