import { EmbeddingIndex, Personalizer, type PersonalizerConfig, type Runtime } from "microlora";
import { row } from "./matrix.js";
import type { MakeRanker, Ranker, Task } from "./ranker.js";

/** How a `Personalizer` is tried. */
export interface LearnerOptions {
  /** Settings that differ from the defaults. */
  readonly config?: Omit<PersonalizerConfig, "dimensions" | "embedder" | "runtime" | "kernels">;
  /** Hands in the logarithm of popularity as a score of the caller's own. */
  readonly withPopularity?: boolean;
  /** Ranks and learns without an index, as behind another vector database. */
  readonly withoutIndex?: boolean;
  /** Leaves out what was shown, so that documents are drawn from the index. */
  readonly drawn?: boolean;
  /** A user to fork each new one from. */
  readonly prior?: Personalizer;
}

/** `Personalizer`s on one task: the index is made once. */
export interface Learners {
  /** What makes a ranker for each person. @throws MicroLoraError for options that `Personalizer` refuses */
  make(options?: LearnerOptions): Promise<MakeRanker>;
  /** Frees the index. */
  close(): void;
}

/** A `Ranker` whose user can be looked at. */
export interface LearnerRanker extends Ranker {
  /** Who learns. */
  readonly user: Personalizer;
}

/** Rankers by `Personalizer` over the items of a task, which share an index. */
export function createLearners(task: Task, runtime: Runtime): Learners {
  const index = task.indexed ? indexOf(task, runtime) : null;
  return {
    async make(options = {}) {
      const { prior } = options;
      const forks = prior === undefined ? null : await Personalizer.forkFrom(prior);
      const state = forks?.exportState();
      forks?.close();
      const dimensions = task.items.cols;
      return () =>
        createLearner(
          task,
          state === undefined
            ? Personalizer.createSync({ ...options.config, dimensions, runtime })
            : Personalizer.fromStateSync(state, { runtime }),
          index,
          options,
        );
    },
    close: () => index?.close(),
  };
}

function indexOf({ items }: Task, runtime: Runtime): EmbeddingIndex<number> {
  const documents = Array.from({ length: items.rows }, (_, i) => [i, row(items, i)] as const);
  return EmbeddingIndex.createSync(documents, { runtime });
}

/** One person's `Personalizer` as a ranker. */
export function createLearner(
  { items, popularity }: Task,
  user: Personalizer,
  index: EmbeddingIndex<number> | null,
  { withPopularity = false, withoutIndex = false, drawn = false }: LearnerOptions,
): LearnerRanker {
  const usesIndex = index !== null && !withoutIndex;
  const itemOf = (i: number) => (usesIndex ? i : { id: i, vector: row(items, i) });
  const besidesOf = (shown: Int32Array) => ({
    ...(usesIndex && { index }),
    ...(withPopularity && { scores: Array.from(shown, (i) => Math.log1p(popularity[i]!)) }),
  });
  return {
    user,
    scores(query, rows) {
      const isWhole = usesIndex && rows.length === items.rows && !withPopularity;
      const byItem = new Float64Array(items.rows);
      if (isWhole) for (const { id, score } of user.search(query, index, items.rows)) byItem[id] = score;
      else {
        for (const { item, score } of user.rank(query, Array.from(rows, itemOf), besidesOf(rows)))
          byItem[typeof item === "number" ? item : item.id] = score;
      }
      return Float64Array.from(rows, (i) => byItem[i]!);
    },
    learn(query, shown, chosen, rating) {
      const item = itemOf(chosen);
      if (rating !== undefined) user.learn({ query, rating, item, ...(usesIndex && { index }) });
      else if (drawn && usesIndex) user.learn({ query, chosen, index });
      else
        user.learn({
          query,
          chosen: chosen < 0 ? null : item,
          shown: Array.from(shown, itemOf),
          ...besidesOf(shown),
        });
    },
    bytes: () => user.toBytes().length,
    close: () => user.close(),
  };
}
