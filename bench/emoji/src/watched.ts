import { type EmbeddingIndex, Learner, pageHinkley } from "microlora";
import type { EmbeddedCorpus } from "./corpus.js";
import { type Evaluator, IDENTITY } from "./evaluate.js";
import { SESSIONS } from "./hyperparameters.js";
import { createLearner } from "./learners.js";
import type { Task } from "./task.js";
import { clickOf, type SeenClick } from "./user.js";

/** What a stream did to one learner that nobody told where a preference ends, or which clicks are bad. */
export interface WatchedStream {
  /** Clicks learned from when a new preference really began. */
  readonly changes: readonly number[];
  /** Clicks at which the detector said so. */
  readonly detected: readonly number[];
  readonly badClicks: number;
  /** Times that the guard took what it had learned from them back. */
  readonly takenBack: number;
  /** MRR on the unseen queries of all preferences. */
  readonly before: number;
  readonly learned: number;
  readonly afterBad: number;
}

const BAD_CLICKS = 256;

/** More is held back than a burst of bad clicks can fill, so that it is judged by what came before it. */
const GUARD = { hold: 64, share: 16, every: 16, strictness: 0 };
const BOUNDARY = pageHinkley({ delta: 0.1, threshold: 5 });

/** The same stream with a guard and without. */
export interface Watched {
  readonly guarded: WatchedStream;
  readonly unguarded: WatchedStream;
}

/**
 * The preferences of a task one after the other, with a boundary detector that says where a new one began; then bad clicks,
 * always on the last of what is shown, which a guard takes back where they make held-back clicks worse. There is no EWC
 * here, which alone would hold on to most of it: what is kept is kept by the guard.
 */
export async function watchStream(
  corpus: EmbeddedCorpus,
  index: EmbeddingIndex,
  evaluator: Evaluator,
  task: Task,
  { seed, guarded }: { readonly seed: number; readonly guarded: boolean },
): Promise<WatchedStream> {
  using personalizer = await createLearner(corpus, SESSIONS.learner, { seed });
  const learner = new Learner(personalizer.slow!, {
    temperature: SESSIONS.learner.temperature,
    boundary: BOUNDARY,
    guard: guarded ? GUARD : null,
    seed,
  });
  const vectorOf = (row: number) => corpus.documentVectors[row]!;
  const learn = ({ query, chosen, shown }: SeenClick) =>
    learner.learn(
      { x: query, output: personalizer.transform(query) },
      { chosen: vectorOf(chosen), shown: shown.map(vectorOf) },
    );
  const changes: number[] = [];
  const detected: number[] = [];
  let clicks = 0;
  for (const topic of task.taste.keys()) {
    if (topic > 0) changes.push(clicks);
    const queries = task.learning.filter((query) => query.topic === topic);
    for (let search = 0; search < SESSIONS.searches; search++) {
      for (const query of queries) {
        const click = clickOf(corpus, index, personalizer, query);
        if (click === null) continue;
        clicks++;
        if (learn(click).boundary) detected.push(clicks);
      }
    }
  }
  const learned = evaluator.onQueries(personalizer, task.unseen).mrr;
  let takenBack = 0;
  for (let bad = 0; bad < BAD_CLICKS; bad++) {
    const click = clickOf(corpus, index, personalizer, task.learning[bad % task.learning.length]!);
    if (click === null) continue;
    if (learn({ ...click, chosen: click.shown.at(-1)! }).rolledBack) takenBack++;
  }
  return {
    changes,
    detected,
    badClicks: BAD_CLICKS,
    takenBack,
    before: evaluator.onQueries(IDENTITY, task.unseen).mrr,
    learned,
    afterBad: evaluator.onQueries(personalizer, task.unseen).mrr,
  };
}
