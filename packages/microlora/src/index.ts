/// <reference lib="esnext.disposable" preserve="true" />

export type { Capacity } from "./adapter/capacity.js";
export { decodeState, encodeState, type MicroLoraState } from "./adapter/codec.js";
export {
  type LearningConfig,
  type MicroLoraConfig,
  type ModuleDimensions,
  memoryBytes,
  type ResolvedConfig,
  type ResolvedModule,
  resolveConfig,
  TARGET_MODULE_SETS,
  TARGET_MODULES,
} from "./adapter/config.js";
export { EwcState } from "./adapter/ewc-state.js";
export type { GradientFeedback, LearnResult } from "./adapter/feedback.js";
export { forwardEach } from "./adapter/forward-each.js";
export { forwardWeighted, type WeightedAdapter } from "./adapter/forward-weighted.js";
export type { Init } from "./adapter/initial.js";
export type { LearningState } from "./adapter/learning.js";
export type { AdapterState, ForwardOptions, LoraAdapter } from "./adapter/lora-adapter.js";
export type { MergeTarget, WeightLayout } from "./adapter/merge.js";
export { ewcPlusPlus, onlineEwc, productEwc, rwalk } from "./adapter/methods/ewc-methods.js";
export type { AnyMethod, EwcMethod, Method, Optimizer, Schedule } from "./adapter/methods/method.js";
export { adamw, adaptiveRows, momentum, sgd } from "./adapter/methods/optimizers.js";
export { cosineDecay, inverseSquareRoot, linearDecay, warmUp } from "./adapter/methods/schedules.js";
export { type LoadOptions, MicroLora, type SyncLoadOptions } from "./adapter/micro-lora.js";
export type { AdapterSpec } from "./adapter/spec.js";
export type { ForwardToken } from "./adapter/token.js";
export type { WholeGradient } from "./adapter/whole-gradient.js";
export { type ErrorCode, MicroLoraError } from "./base/errors.js";
export { KERNELS_NAMES, type KernelsName } from "./kernels/contract.js";
export { Runtime, type RuntimeOptions } from "./kernels/runtime.js";
export { METHODS } from "./learner/all-methods.js";
export {
  type AdwinSettings,
  adwin,
  type Boundary,
  everyRequests,
  type PageHinkleySettings,
  pageHinkley,
} from "./learner/boundaries.js";
export type { LearnerConfig, ResolvedLearner } from "./learner/config.js";
export type {
  ChoiceFeedback,
  Feedback,
  QualityFeedback,
  RatingFeedback,
} from "./learner/feedback/signal.js";
export type { GuardConfig } from "./learner/guard.js";
export { Learner, type Request } from "./learner/learner.js";
export type { PendingLimits } from "./learner/pending-requests.js";
export type { ReplayConfig } from "./learner/replay.js";
export type { LearnerReport } from "./learner/report.js";
export type { GroupReport } from "./learner/statistics.js";
export type { ChosenItemsState } from "./search/chosen-items.js";
export type { PersonalizerState } from "./search/codec.js";
export {
  EmbeddingIndex,
  type IndexEntry,
  type IndexOptions,
  type SearchOptions,
  type Vector,
} from "./search/embedding-index.js";
export type { PersonalFeedback, StarsFeedback } from "./search/feedback.js";
export type { Item } from "./search/items.js";
export { Personalizer } from "./search/personalizer.js";
export {
  PERSONALIZER_DEFAULTS,
  type PersonalizerConfig,
  type RecallBudget,
  type ResolvedPersonalizer,
  type SlowConfig,
  type SlowStart,
} from "./search/personalizer-config.js";
export { decodePrepared, encodePrepared, type PreparedFeedback } from "./search/prepared.js";
export type { Ranked, RankOptions } from "./search/rank.js";
export type { RecallConfig, RecallState } from "./search/recall.js";
export type { ScoreTermsState } from "./search/score-terms.js";
export type { DocumentId, EmbedderInfo, SearchHit, VectorIndex } from "./search/vector-index.js";
