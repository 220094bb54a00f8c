/** What the first run (`npm start`) has already: its corpus, its simulated user, its ranks, its statistics. */
export { type EmbeddedCorpus, loadCorpus } from "../../../packages/cli/dist/demo/corpus.js";
export { SESSIONS, TASK, TUNING_GROUPS } from "../../../packages/cli/dist/demo/hyperparameters.js";
export { kMeans } from "../../../packages/cli/dist/demo/k-means.js";
export { createRandom, type Random } from "../../../packages/cli/dist/demo/random.js";
export { interval95, mean, quantile } from "../../../packages/cli/dist/demo/statistics.js";
export {
  ambiguousKeywords,
  buildTask,
  inGroup,
  type Query,
  splitByStem,
  unrelatedTo,
} from "../../../packages/cli/dist/demo/task.js";
export { clickOf, type SeenClick } from "../../../packages/cli/dist/demo/user.js";
