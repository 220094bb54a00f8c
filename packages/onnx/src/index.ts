export { OnnxError, type OnnxErrorCode } from "./base/errors.js";
export type { HostTensor, Nested } from "./base/host-tensor.js";
export { type Module, type Modules, selectModules, type Targets } from "./graft/modules.js";
export type { Role } from "./graft/roles.js";
export { feedInitializers } from "./graph/feed-initializers.js";
export type * from "./graph/ir.js";
export { readModel } from "./graph/serde/read.js";
export type { WeightPlacement } from "./graph/serde/tensor.js";
export { encodeModel } from "./graph/serde/write.js";
export { type CrossEntropyOptions, crossEntropy } from "./loss/class.js";
export { combine, vjp } from "./loss/combine.js";
export {
  type CosineOptions,
  cosine,
  type EmbeddingOptions,
  type InfoNceOptions,
  infoNce,
  type TripletOptions,
  triplet,
  type Vectors,
} from "./loss/embedding.js";
export type { Loss, LossGraph, LossRequest, LossSource } from "./loss/loss.js";
export { LOSSES, type LossMakers } from "./loss/makers.js";
export { type DpoOptions, dpo, type KlOptions, type KtoOptions, klToBase, kto } from "./loss/preference.js";
export { type TokenLabels, type TokenNllOptions, tokenNll } from "./loss/tokens.js";
export type { AdapterGradients, Adapters, ModuleGradient } from "./session/adapters.js";
export {
  type Attachment,
  type AttachOptions,
  attach,
  type TransformersModel,
  type TransformersPipeline,
} from "./session/attach.js";
export { browserCache } from "./session/browser-cache.js";
export type { DerivationCache } from "./session/derivation-cache.js";
export type { Feeds } from "./session/feeds.js";
export type { ModelBytes } from "./session/files.js";
export { inspectModel, type ModuleReport } from "./session/inspect.js";
export {
  type AdapterOptions,
  type GradientOptions,
  type GradientRequest,
  type LearnOptions,
  type LearnResult,
  LoraModel,
  type OpenOptions,
  type RunOptions,
} from "./session/lora-model.js";
export {
  ModelLearner,
  type ModelLearnerConfig,
  type ModelLearnerLoadOptions,
  type ModelLearnerReport,
} from "./session/model-learner.js";
export { type ModelSource, openModel } from "./session/open.js";
export type { Ort, OrtSession, OrtSessionOptions, OrtTensor } from "./session/ort.js";
export type { Pairs } from "./session/pairs.js";
export type { Gradients } from "./session/trainer.js";
