/** What the first run (`npm start`) has already: its corpus, its simulated user, its ranks, its statistics. */
export { type EmbeddedCorpus, loadCorpus } from "../../emoji/dist/corpus.js";
export { SESSIONS, TASK, TUNING_GROUPS } from "../../emoji/dist/hyperparameters.js";
export { kMeans } from "../../emoji/dist/k-means.js";
export { createRandom, type Random } from "../../emoji/dist/random.js";
export { interval95, mean, quantile } from "../../emoji/dist/statistics.js";
export {
  ambiguousKeywords,
  buildTask,
  inGroup,
  type Query,
  splitByStem,
  unrelatedTo,
} from "../../emoji/dist/task.js";
export { clickOf, type SeenClick } from "../../emoji/dist/user.js";
