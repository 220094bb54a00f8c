import {
  ambiguousKeywords,
  buildTask,
  createRandom,
  type EmbeddedCorpus,
  inGroup,
  type Query,
  splitByStem,
  TASK,
  unrelatedTo,
} from "../first-run.js";
import type { EmojiSetup } from "./setup.js";

/** One user: preferences that come one after the other, and keywords that have nothing to do with any of them. */
export interface User {
  readonly preferences: readonly {
    readonly learning: readonly Query[];
    /** Shares no word stem with what was learned. */
    readonly unseen: readonly Query[];
  }[];
  /** Mean whatever emoji carry them. */
  readonly unrelated: readonly Query[];
}

/** Draws the user of a seed, whose tastes are among some groups of emoji. */
export type DrawUser = (setup: EmojiSetup, groups: readonly string[], seed: number) => User;

const CONTRADICTIONS = 4;
const UNRELATED = 300;

/** Compatible tastes: each topic has a preferred group of its own, learned topic by topic. */
export const compatibleUser: DrawUser = ({ corpus }, groups, seed) => {
  const { taste, learning, unseen, unrelated } = buildTask(corpus, { ...TASK, seed, groups });
  const ofTopic = (queries: readonly Query[], topic: number) => queries.filter((query) => query.topic === topic);
  return {
    preferences: [...taste.keys()].map((topic) => ({
      learning: ofTopic(learning, topic),
      unseen: ofTopic(unseen, topic),
    })),
    unrelated: asTheyAre(corpus, unrelated),
  };
};

/** Contradicting tastes: one preferred group after the other, everywhere, on keywords that fit two of them at least. */
export const contradictingUser: DrawUser = ({ corpus }, groups, seed) => {
  const random = createRandom(seed);
  const taste = random.shuffle(groups).slice(0, CONTRADICTIONS);
  const contested = ambiguousKeywords(corpus).filter(
    (keyword) => taste.filter((group) => inGroup(corpus, keyword, group).length > 0).length > 1,
  );
  const halves = splitByStem(
    corpus,
    contested.map((keyword) => ({ keyword, topic: 0, wanted: [] })),
    random,
  );
  const meant = (queries: readonly Query[], group: string) =>
    queries
      .map(({ keyword, topic }) => ({ keyword, topic, wanted: inGroup(corpus, keyword, group) }))
      .filter(({ wanted }) => wanted.length > 0);
  return {
    preferences: taste.map((group) => ({
      learning: meant(halves.learning, group),
      unseen: meant(halves.unseen, group),
    })),
    unrelated: asTheyAre(corpus, unrelatedTo(corpus, taste, TASK.unrelated, random).unrelated),
  };
};

/** Keywords that mean whatever emoji carry them. */
function asTheyAre({ keywords }: EmbeddedCorpus, rows: readonly number[]): Query[] {
  return rows.slice(0, UNRELATED).map((keyword) => ({ keyword, topic: 0, wanted: keywords[keyword]!.relevant }));
}
