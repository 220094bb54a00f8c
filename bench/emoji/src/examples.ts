import type { EmbeddingIndex, Personalizer } from "microlora";
import type { EmbeddedCorpus } from "./corpus.js";
import { type Evaluator, IDENTITY, type QueryTransform } from "./evaluate.js";
import type { Task } from "./task.js";

/** One unseen query before and after. */
export interface Example {
  readonly text: string;
  /** The group that the user means by it. */
  readonly group: string;
  readonly rankBefore: number;
  readonly rankAfter: number;
  /** The first results, as emoji. */
  readonly before: readonly string[];
  readonly after: readonly string[];
}

const RESULTS = 5;

/** The unseen queries that gained most, and the one that lost most, so that the picture is whole. */
export function pickExamples(
  corpus: EmbeddedCorpus,
  index: EmbeddingIndex,
  evaluator: Evaluator,
  task: Task,
  learner: Personalizer,
  gained = 4,
): Example[] {
  const first = (transform: QueryTransform, keyword: number) =>
    index
      .search(transform.transform(corpus.keywordVectors[keyword]!), RESULTS)
      .map(({ id }) => corpus.documents[Number(id)]!.emoji);
  const examples = task.unseen
    .map(({ keyword, topic, wanted }) => {
      const rankBefore = evaluator.rank(IDENTITY, keyword, wanted);
      const rankAfter = evaluator.rank(learner, keyword, wanted);
      return { keyword, topic, rankBefore, rankAfter, gain: 1 / rankAfter - 1 / rankBefore };
    })
    .sort((a, b) => b.gain - a.gain);
  const worst = examples.at(-1);
  const picked = [...examples.slice(0, gained), ...(worst !== undefined && worst.gain < 0 ? [worst] : [])];
  return picked.map(({ keyword, topic, rankBefore, rankAfter }) => ({
    text: corpus.keywords[keyword]!.text,
    group: task.taste[topic]!,
    rankBefore,
    rankAfter,
    before: first(IDENTITY, keyword),
    after: first(learner, keyword),
  }));
}
