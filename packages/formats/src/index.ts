export { FormatError, type FormatErrorCode } from "./base/errors.js";
export { decodeBincode, encodeBincode } from "./bincode/bincode.js";
export {
  COMBINATION_TYPES,
  type CombinationType,
  type Combined,
  type CombineOptions,
  combine,
} from "./combine/combine.js";
export type { MajoritySign } from "./combine/mix.js";
export type { Mask, MaskRequest } from "./combine/sparsify.js";
export { addLoras, averageLoras, interpolateLoras, recompress } from "./combine/sums.js";
export type { DecodeOptions, EncodeOptions, FileFormat, ReadFormat } from "./format.js";
export {
  detectFormat,
  FILE_FORMATS,
  type FileFormatName,
  FOLDER_FORMATS,
  FORMAT_NAMES,
  type FolderFormatName,
  type FormatName,
  formatOfName,
  READ_ONLY_FORMATS,
  READABLE_FORMAT_NAMES,
  type ReadableFormatName,
  type ReadOnlyFormatName,
} from "./formats/formats.js";
export { type BaseModel, baseModelFromConfig, baseModelFromGguf, type LinearHeads } from "./gguf/base-model.js";
export { unflattenModules } from "./layouts/flattened.js";
export type { RowsChange, TensorChange } from "./merge/change.js";
export type { AddedTensor, ConfigChange } from "./merge/head.js";
export { type MergeOptions, type MergePlan, mergeTensors, planMerge } from "./merge/plan.js";
export { decodeMlx, encodeMlx, type MlxFolder } from "./mlx/mlx.js";
export { fromMicroLora, type LearningOptions, toMicroLora } from "./native/micro-lora.js";
export { type OnnxFeed, onnxAdapterFeeds } from "./onnx-adapter/feeds.js";
export { decodePeft, fromTensors as decodePeftTensors, type PeftFolder } from "./peft/decode.js";
export { encodePeft, type PeftOptions } from "./peft/encode.js";
export { DTYPE_BITS, type DType, FLOAT_DTYPES, type FloatDType } from "./picture/dtype.js";
export { fitToModel, type ModelModule, type ModelToFit, targetNames } from "./picture/fit.js";
export { fromFloats, toFloats } from "./picture/floats.js";
export { checkLoraFile, type LoraFile, type LoraTarget, PLAIN_FILE, scalingOf } from "./picture/lora-file.js";
export { deltaNorm } from "./picture/norm.js";
export { refuseParts, type TargetPart } from "./picture/refuse-parts.js";
export { foldReplaced, refuseReplaced } from "./picture/replaced.js";
export { applyRules, type ModuleRules, renameModules } from "./picture/select.js";
export { byteLengthOf, elementCount, type Tensor, type TensorFile } from "./picture/tensor-file.js";
export { toUniform, type UniformTargets } from "./picture/uniform.js";
export { decodePyTorch } from "./pytorch/pytorch.js";
export { decodeSafetensors, encodeSafetensors } from "./safetensors/safetensors.js";
