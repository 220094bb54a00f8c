/// <reference lib="esnext.disposable" preserve="true" />

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
export { forwardEach } from "./adapter/forward-each.js";
export { forwardWeighted, type WeightedAdapter } from "./adapter/forward-weighted.js";
export type { Init } from "./adapter/initial.js";
export type { LearningState } from "./adapter/learning.js";
export type { AdapterState, ForwardOptions, LoraAdapter } from "./adapter/lora-adapter.js";
export type { MergeTarget, WeightLayout } from "./adapter/merge.js";
export type { AnyMethod, EwcMethod, Method, Optimizer, Schedule } from "./adapter/methods.js";
export type { AdapterSpec } from "./adapter/spec.js";
export type { ForwardToken } from "./adapter/token.js";
export { type ErrorCode, MicroLoraError } from "./base/errors.js";
export type { PersonalizerState } from "./checkpoint/personalizer-state.js";
export { decodeState, encodeState, type MicroLoraState } from "./checkpoint/state.js";
export type { Click, ClickResult } from "./click.js";
export { type DocumentId, EmbeddingIndex, type SearchHit } from "./embedding-index.js";
export { KERNELS_NAMES, type KernelsName } from "./kernels/contract.js";
export { Runtime, type RuntimeOptions } from "./kernels/runtime.js";
export {
  type AdwinSettings,
  adwin,
  type Boundary,
  everyRequests,
  type PageHinkleySettings,
  pageHinkley,
} from "./learn/boundaries.js";
export type { Capacity } from "./learn/capacity.js";
export { ewcPlusPlus, onlineEwc, productEwc, rwalk } from "./learn/ewc-methods.js";
export { EwcState } from "./learn/ewc-state.js";
export type { Feedback, LearnResult } from "./learn/feedback.js";
export type { GuardConfig } from "./learn/guard.js";
export type { LearnerConfig, ResolvedLearner } from "./learn/learner-config.js";
export type { LearnerReport } from "./learn/learner-report.js";
export { METHODS } from "./learn/methods.js";
export { adamw, adaptiveRows, momentum, sgd } from "./learn/optimizers.js";
export type { PendingLimits } from "./learn/pending-requests.js";
export type { PersonalFeedback } from "./learn/personal-feedback.js";
export {
  PERSONALIZER_DEFAULTS,
  type PersonalizerConfig,
  type ResolvedPersonalizer,
  type SlowConfig,
  type SlowStart,
} from "./learn/personalizer-config.js";
export type { RecallConfig, RecallState } from "./learn/recall.js";
export type { ReplayConfig } from "./learn/replay.js";
export { cosineDecay, inverseSquareRoot, linearDecay, warmUp } from "./learn/schedules.js";
export type { AnyFeedback, ChoiceSignal, GradientSignal, QualitySignal, RatingSignal } from "./learn/signal.js";
export type { GroupReport } from "./learn/statistics.js";
export { Learner, type Request } from "./learner.js";
export { type LoadOptions, MicroLora } from "./micro-lora.js";
export { Personalizer } from "./personalizer.js";
export type { LearnerResult } from "./updates.js";
