import type { Corpus, EmbeddedCorpus } from "./corpus.js";
import { kMeans } from "./k-means.js";
import { createRandom, type Random } from "./random.js";
import { UsageError } from "./usage-error.js";

/** A keyword that fits several groups, one of which this user means. */
export interface Query {
  /** Row of the keyword. */
  readonly keyword: number;
  readonly topic: number;
  /** Rows of the documents that the user would click. */
  readonly wanted: readonly number[];
}

/** One seeded user: a taste, queries to learn from, unseen ones to test on, and ones that have nothing to do with it. */
export interface Task {
  /** The group that the user prefers in each topic. */
  readonly taste: readonly string[];
  readonly learning: readonly Query[];
  /** Shares no word stem with `learning`. */
  readonly unseen: readonly Query[];
  /** Rows of keywords none of whose emoji are in a group of the taste. */
  readonly unrelated: readonly number[];
}

export interface TaskConfig {
  readonly seed: number;
  /** Topics that the queries fall into; 1 gives a uniform taste. */
  readonly topics: number;
  /** Groups that the taste is drawn from, no two topics sharing one. */
  readonly groups: readonly string[];
  /** Queries that a topic must hold for a group to be preferred in it. */
  readonly minimumQueries: number;
  /** Unrelated keywords drawn. */
  readonly unrelated: number;
}

const ATTEMPTS = 100;

/** @throws UsageError where no taste can be drawn from `groups` */
export function buildTask(corpus: EmbeddedCorpus, config: TaskConfig): Task {
  const random = createRandom(config.seed);
  const ambiguous = ambiguousKeywords(corpus);
  const vectors = ambiguous.map((keyword) => corpus.keywordVectors[keyword]!);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const { assignment } = kMeans(vectors, config.topics, random);
    const topicOf = new Map(ambiguous.map((keyword, i) => [keyword, assignment[i]!]));
    const taste = drawTaste(corpus, topicOf, config, random);
    if (taste === null) continue;
    return {
      taste,
      ...splitByStem(corpus, queriesOf(corpus, topicOf, taste), random),
      ...unrelatedTo(corpus, taste, config.unrelated, random),
    };
  }
  throw new UsageError(
    `No group among ${config.groups.join(", ")} has ${config.minimumQueries} queries in every topic`,
  );
}

/** The same user, who learns from the other half. */
export function swapHalves(task: Task): Task {
  return { ...task, learning: task.unseen, unseen: task.learning };
}

/** Rows of the keywords that fit emoji of two groups or more. */
export function ambiguousKeywords({ documents, keywords }: Corpus): number[] {
  const isAmbiguous = (row: number) =>
    new Set(keywords[row]!.relevant.map((document) => documents[document]!.group)).size > 1;
  return [...keywords.keys()].filter(isAmbiguous);
}

/** One group a topic, each with enough queries there; null if the draw ran into a dead end. */
function drawTaste(
  corpus: Corpus,
  topicOf: ReadonlyMap<number, number>,
  { topics, groups, minimumQueries }: TaskConfig,
  random: Random,
): string[] | null {
  const taste: string[] = [];
  for (const topic of random.shuffle([...Array(topics).keys()])) {
    const fits = groups.filter((group) => {
      if (taste.includes(group)) return false;
      let count = 0;
      for (const [keyword, itsTopic] of topicOf)
        if (itsTopic === topic && inGroup(corpus, keyword, group).length > 0) count++;
      return count >= minimumQueries;
    });
    if (fits.length === 0) return null;
    taste[topic] = fits[random.integer(fits.length)]!;
  }
  return taste;
}

function queriesOf(corpus: Corpus, topicOf: ReadonlyMap<number, number>, taste: readonly string[]): Query[] {
  return [...topicOf]
    .map(([keyword, topic]) => ({ keyword, topic, wanted: inGroup(corpus, keyword, taste[topic]!) }))
    .filter(({ wanted }) => wanted.length > 0);
}

/** Halves the word stems, and gives each half the queries all of whose stems it has; a query across both is dropped. */
export function splitByStem(
  corpus: Corpus,
  queries: readonly Query[],
  random: Random,
): Pick<Task, "learning" | "unseen"> {
  const stemsOf = (query: Query) => corpus.keywords[query.keyword]!.stems;
  const stems = random.shuffle([...new Set(queries.flatMap(stemsOf))]);
  const learned = new Set(stems.slice(0, stems.length / 2));
  return {
    learning: random.shuffle(queries.filter((query) => stemsOf(query).every((stem) => learned.has(stem)))),
    unseen: random.shuffle(queries.filter((query) => !stemsOf(query).some((stem) => learned.has(stem)))),
  };
}

export function unrelatedTo(
  corpus: Corpus,
  taste: readonly string[],
  count: number,
  random: Random,
): Pick<Task, "unrelated"> {
  const rows = [...corpus.keywords.keys()].filter((keyword) =>
    taste.every((group) => inGroup(corpus, keyword, group).length === 0),
  );
  return { unrelated: random.shuffle(rows).slice(0, count) };
}

export function inGroup({ documents, keywords }: Corpus, keyword: number, group: string): number[] {
  return keywords[keyword]!.relevant.filter((document) => documents[document]!.group === group);
}
