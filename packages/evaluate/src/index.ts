export {
  BASELINES,
  type Baseline,
  type BaselineName,
  baselinesFor,
  createBase,
  type Numbers,
} from "./baselines.js";
export { known, type Row, rowOf, valuesOf } from "./comparison.js";
export { createLearners, type LearnerOptions, type LearnerRanker, type Learners } from "./learner.js";
export { centroid, dotRow, type Matrix, matrixOf, range, row, rowsOf, toUnit } from "./matrix.js";
export { noisyNames } from "./names.js";
export {
  type Choice,
  evaluatePerson,
  learnFrom,
  type Measures,
  type Named,
  type Outcome,
  type Person,
  qualityOf,
  reciprocal,
  splitOf,
} from "./person.js";
export { createGauss, createRandom, shuffle } from "./random.js";
export type { MakeRanker, Ranker, Task } from "./ranker.js";
export { type Interval, interval, mean, percentChange } from "./statistics.js";
export {
  BUDGET,
  type Chosen,
  isWithinBudget,
  type Tuned,
  type TunedBaseline,
  type TunedOutcome,
  tuneBaselines,
} from "./tuning.js";
