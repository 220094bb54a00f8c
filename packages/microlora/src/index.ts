export {
  type LearningConfig,
  type MicroLoraConfig,
  type ModuleDimensions,
  memoryBytes,
  type ResolvedConfig,
  resolveConfig,
  TARGET_MODULE_SETS,
  TARGET_MODULES,
} from "./adapter/config.js";
export { forwardEach } from "./adapter/forward-each.js";
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
export { type DocumentId, EmbeddingIndex, type SearchHit } from "./embedding-index.js";
export { KERNELS_NAMES, type KernelsName } from "./kernels/contract.js";
export { Runtime, type RuntimeOptions } from "./kernels/runtime.js";
export { ewcPlusPlus, onlineEwc, productEwc, rwalk } from "./learn/ewc-methods.js";
export { EwcState } from "./learn/ewc-state.js";
export type { Feedback, LearnResult } from "./learn/feedback.js";
export { METHODS } from "./learn/methods.js";
export { adamw, adaptiveRows, momentum, sgd } from "./learn/optimizers.js";
export { PERSONALIZER_DEFAULTS, type ResolvedPersonalizer, type SlowConfig } from "./learn/personalizer-config.js";
export type { RecallConfig, RecallState } from "./learn/recall.js";
export { cosineDecay, inverseSquareRoot, linearDecay, warmUp } from "./learn/schedules.js";
export { type LoadOptions, MicroLora } from "./micro-lora.js";
export { type Click, type ClickResult, Personalizer, type PersonalizerConfig } from "./personalizer.js";
