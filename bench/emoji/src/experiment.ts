import { EmbeddingIndex, Personalizer } from "microlora";
import type { EmbeddedCorpus } from "./corpus.js";
import { Evaluator, IDENTITY, type Metrics } from "./evaluate.js";
import { type FeedbackTime, measureFeedback } from "./feedback-time.js";
import { LEARNERS, type LearnerName, type LearnerSettings, SESSIONS, TASK } from "./hyperparameters.js";
import { createLearner } from "./learners.js";
import { meanMatrix, runSessions, type SessionMatrix } from "./sessions.js";
import { buildTask, type Task } from "./task.js";
import { learnFrom, type SeenClick } from "./user.js";
import { type Watched, watchStream } from "./watched.js";

export const ROWS = ["base", ...(Object.keys(LEARNERS) as LearnerName[])] as const;
export type RowName = (typeof ROWS)[number];

export interface ExperimentOptions {
  /** A uniform taste for this group. */
  readonly group?: string;
  /** Groups that a taste by topic is drawn from. */
  readonly among: readonly string[];
  readonly clicks?: number;
  readonly rank?: number;
}

/** How well one learner does. */
export interface Score {
  readonly unseen: Metrics;
  readonly unrelated: Metrics;
  readonly clicks: number;
}

export interface CurvePoint {
  readonly clicks: number;
  readonly learner: LearnerName;
  readonly mrr: number;
}

/** A learner that has learned, with the clicks that it learned from. */
export interface Learned {
  readonly learner: Personalizer;
  readonly clicks: readonly SeenClick[];
}

const CURVE_POINTS = 8;

/** One corpus, its index and its evaluator, for the runs of any number of seeds. */
export class Experiment {
  readonly corpus: EmbeddedCorpus;
  readonly index: EmbeddingIndex;
  readonly evaluator: Evaluator;
  readonly #options: ExperimentOptions;

  private constructor(corpus: EmbeddedCorpus, index: EmbeddingIndex, options: ExperimentOptions) {
    this.corpus = corpus;
    this.index = index;
    this.evaluator = new Evaluator(corpus);
    this.#options = options;
  }

  static async create(corpus: EmbeddedCorpus, options: ExperimentOptions): Promise<Experiment> {
    const index = await EmbeddingIndex.create(corpus.documentVectors.map((vector, row) => [row, vector] as const));
    return new Experiment(corpus, index, options);
  }

  /** The user of a seed. */
  task(seed: number): Task {
    const { group, among } = this.#options;
    return buildTask(this.corpus, {
      ...TASK,
      seed,
      ...(group === undefined ? { groups: among } : { groups: [group], topics: 1 }),
    });
  }

  /** A learner of the table, new to the world. */
  create(name: LearnerName, seed: number): Promise<Personalizer> {
    return createLearner(this.corpus, this.#settings(name), { seed });
  }

  /** Lets a learner learn from the learning half; the caller disposes of it. */
  async learn(name: LearnerName, task: Task, seed: number, onClick?: (clicks: number) => void): Promise<Learned> {
    const learner = await this.create(name, seed);
    const { clicks: limit } = this.#options;
    const clicks = learnFrom(this.corpus, this.index, learner, task.learning, {
      ...(limit !== undefined && { limit }),
      ...(onClick !== undefined && { onClick: () => onClick(learner.clicks) }),
    });
    return { learner, clicks };
  }

  /** Every row of the table for one seed. */
  async scores(task: Task, seed: number, onRow?: (name: RowName) => void): Promise<Record<RowName, Score>> {
    const scores: Partial<Record<RowName, Score>> = {};
    for (const name of ROWS) {
      onRow?.(name);
      if (name === "base") {
        scores.base = this.#score(IDENTITY, task, 0);
        continue;
      }
      const { learner, clicks } = await this.learn(name, task, seed);
      using _ = learner;
      scores[name] = this.#score(learner, task, clicks.length);
    }
    return scores as Record<RowName, Score>;
  }

  /** MRR on unseen queries as clicks come in. */
  async curve(name: LearnerName, task: Task, seed: number): Promise<CurvePoint[]> {
    using learner = await this.create(name, seed);
    const point = (clicks: number) => ({
      clicks,
      learner: name,
      mrr: this.evaluator.onQueries(learner, task.unseen).mrr,
    });
    const points = [point(0)];
    const limit = this.#options.clicks ?? task.learning.length;
    const every = Math.max(1, Math.round(Math.min(limit, task.learning.length / 2) / CURVE_POINTS));
    const onClick = (clicks: number) => {
      if (clicks % every === 0) points.push(point(clicks));
    };
    const clicks = learnFrom(this.corpus, this.index, learner, task.learning, { limit, onClick });
    if (clicks.length % every !== 0) points.push(point(clicks.length));
    return points;
  }

  /** Time of whole feedback calls of a learner that has learned already; it is left as it was. */
  async feedbackTime({ learner, clicks }: Learned): Promise<FeedbackTime> {
    using copy = await Personalizer.forkFrom(learner);
    return measureFeedback(copy, clicks);
  }

  /** Four preferences in a row, the mean of several users; both runs differ in lambda only. */
  async sessions(seed: number, ewcLambda: number): Promise<SessionMatrix> {
    const matrices: SessionMatrix[] = [];
    for (let user = 0; user < SESSIONS.users; user++) {
      const userSeed = seed * SESSIONS.users + user;
      const task = buildTask(this.corpus, { ...TASK, seed: userSeed, groups: this.#options.among });
      matrices.push(await runSessions(this.corpus, this.index, this.evaluator, task, { seed: userSeed, ewcLambda }));
    }
    return meanMatrix(matrices);
  }

  /** Four preferences without a word on where one ends, then bad clicks: boundary detector and guard at work. */
  async watched(task: Task, seed: number): Promise<Watched> {
    const stream = (guarded: boolean) => watchStream(this.corpus, this.index, this.evaluator, task, { seed, guarded });
    return { guarded: await stream(true), unguarded: await stream(false) };
  }

  #score(learner: Pick<Personalizer, "transform">, task: Task, clicks: number): Score {
    return {
      unseen: this.evaluator.onQueries(learner, task.unseen),
      unrelated: this.evaluator.onKeywords(learner, task.unrelated),
      clicks,
    };
  }

  #settings(name: LearnerName): LearnerSettings {
    const settings: LearnerSettings = LEARNERS[name];
    const { rank } = this.#options;
    if (rank === undefined || settings.slow === null || settings.slow.directions === "zeros") return settings;
    return { ...settings, slow: { ...settings.slow, rank } };
  }
}
