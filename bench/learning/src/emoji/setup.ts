import { EmbeddingIndex } from "microlora";
import type { EmbedTexts } from "../embedders.js";
import { type EmbeddedCorpus, loadCorpus, TASK, TUNING_GROUPS } from "../first-run.js";
import type { Split } from "../problem.js";
import { directionsFor } from "../queries/directions.js";
import type { QueryBasis } from "../queries/personalizer.js";

/** Rank of the slow weights: what fits into 64 KB a user with Fisher information and anchor beside it. */
const RANKS: Readonly<Record<number, number>> = { 256: 7, 384: 4 };
/** As in the first run's sessions. */
const TEMPERATURE = 0.2;
const REACH = 0.3;
const SCALING = 3.3;
/** Leaves room for slow weights beside it within the same 64 KB. */
const RECALL_BYTES = 46 * 1024;

/** What all emoji problems on one embedding share. */
export interface EmojiSetup {
  readonly corpus: EmbeddedCorpus;
  readonly index: EmbeddingIndex;
  readonly basis: QueryBasis;
  /** Groups of emoji that tastes are drawn from. */
  readonly groups: Readonly<Record<Split, readonly string[]>>;
}

export async function emojiSetup(embed: EmbedTexts): Promise<EmojiSetup> {
  const plain = loadCorpus();
  const documentVectors = await embed(plain.documents.map(({ name }) => name));
  const keywordVectors = await embed(plain.keywords.map(({ text }) => text));
  const corpus = { ...plain, documentVectors, keywordVectors };
  const dimensions = documentVectors[0]!.length;
  const tuning: ReadonlySet<string> = new Set(TUNING_GROUPS);
  return {
    corpus,
    index: await EmbeddingIndex.create(documentVectors.map((vector, row) => [row, vector] as const)),
    basis: {
      dimensions,
      temperature: TEMPERATURE,
      directions: await directionsFor(keywordVectors, RANKS[dimensions]!, REACH),
      scaling: SCALING,
      recallBytes: RECALL_BYTES,
      shown: TASK.shown,
    },
    groups: { validation: TUNING_GROUPS, reported: plain.groups.filter((group) => !tuning.has(group)) },
  };
}
