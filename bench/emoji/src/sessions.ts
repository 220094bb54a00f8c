import type { EmbeddingIndex } from "microlora";
import type { EmbeddedCorpus } from "./corpus.js";
import type { Evaluator } from "./evaluate.js";
import { SESSIONS } from "./hyperparameters.js";
import { createLearner } from "./learners.js";
import { mean } from "./statistics.js";
import type { Task } from "./task.js";
import { learnFrom } from "./user.js";

/** MRR on the unseen queries of each preference: row 0 before anything, row s after session s. */
export type SessionMatrix = readonly (readonly number[])[];

export interface Forgetting {
  /** Mean MRR of a preference right after its own session. */
  readonly learned: number;
  /** Mean MRR after the last session. */
  readonly final: number;
  /** Mean over all but the last preference of its best ever minus its final MRR. */
  readonly forgetting: number;
}

/** One preference after the other, each learned from its own clicks, with what was learned consolidated in between. */
export async function runSessions(
  corpus: EmbeddedCorpus,
  index: EmbeddingIndex,
  evaluator: Evaluator,
  task: Task,
  { seed, ewcLambda }: { readonly seed: number; readonly ewcLambda: number },
): Promise<SessionMatrix> {
  using learner = await createLearner(corpus, SESSIONS.learner, { seed, ewcLambda, fisherDecay: SESSIONS.fisherDecay });
  const topics = [...task.taste.keys()];
  const measure = () =>
    topics.map(
      (topic) =>
        evaluator.onQueries(
          learner,
          task.unseen.filter((query) => query.topic === topic),
        ).mrr,
    );
  const matrix = [measure()];
  for (const topic of topics) {
    const queries = task.learning.filter((query) => query.topic === topic);
    for (let search = 0; search < SESSIONS.searches; search++) learnFrom(corpus, index, learner, queries);
    learner.consolidate();
    matrix.push(measure());
  }
  return matrix;
}

/** Forgetting after Chaudhry et al. 2018 (eq. 3), the best taken from a preference's own session on. */
export function forgettingOf(matrix: SessionMatrix): Forgetting {
  const tasks = [...(matrix[0]?.keys() ?? [])];
  const after = (session: number, task: number) => matrix[session + 1]![task]!;
  const last = tasks.length - 1;
  const lost = tasks.slice(0, -1).map((task) => {
    const best = Math.max(...tasks.slice(task).map((session) => after(session, task)));
    return best - after(last, task);
  });
  return {
    learned: mean(tasks.map((task) => after(task, task))),
    final: mean(tasks.map((task) => after(last, task))),
    forgetting: mean(lost),
  };
}

/** Cell by cell mean of several users' matrices. */
export function meanMatrix(matrices: readonly SessionMatrix[]): SessionMatrix {
  const [first = []] = matrices;
  return first.map((row, session) => row.map((_, task) => mean(matrices.map((matrix) => matrix[session]![task]!))));
}
