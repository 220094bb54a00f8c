export { OnnxError, type OnnxErrorCode } from "./base/errors.js";
export type { HostTensor, Nested } from "./base/host-tensor.js";
export type { GgufOptions } from "./gguf/files.js";
export { type GgufFile, type GgufTensor, isGguf, type Metadata as GgufMetadata, readGguf } from "./gguf/read.js";
export type { WeightMode } from "./gguf/weights.js";
export { groupModules, type ModuleGroup } from "./graft/group-modules.js";
export { inspectModel, type ModuleReport } from "./graft/inspect-model.js";
export { type Module, type Modules, selectModules, type Targets } from "./graft/modules.js";
export type { Role } from "./graft/roles.js";
export { feedInitializers } from "./graph/feed-initializers.js";
export type * from "./graph/ir.js";
export { readModel } from "./graph/serde/read.js";
export { type ByteSource, memorySource } from "./graph/serde/source.js";
export type { WeightPlacement } from "./graph/serde/tensor.js";
export { encodeModel } from "./graph/serde/write.js";
export {
  ModelLearner,
  type ModelLearnerConfig,
  type ModelLearnerLoadOptions,
  type ModelLearnerReport,
} from "./learner/model-learner.js";
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
export type { AdapterSource, LoadAdapterOptions, SaveAdapterOptions } from "./model/adapter-files.js";
export { type LearnResult, LoraModel } from "./model/lora-model.js";
export { type ModelSource, openModel } from "./model/open.js";
export type {
  AdapterOptions,
  FetchProgress,
  GradientOptions,
  GradientRequest,
  LearnOptions,
  OpenOptions,
  RunOptions,
} from "./model/options.js";
export type { AdapterGradients, Adapters, ModuleGradient } from "./run/adapters.js";
export type { Feeds } from "./run/feeds.js";
export type { ModelBytes } from "./run/files.js";
export type { Ort, OrtSession, OrtSessionOptions, OrtTensor } from "./run/ort.js";
export { browserCache } from "./train/browser-cache.js";
export type { DerivationCache } from "./train/derivation-cache.js";
export type { Gradients } from "./train/trainer.js";
export {
  type Attachment,
  type AttachOptions,
  attach,
  type TransformersModel,
  type TransformersPipeline,
} from "./transformers/attach.js";
export type { Pairs } from "./transformers/pairs.js";
