export { FormatError, type FormatErrorCode } from "./base/errors.js";
export type { DecodeOptions, EncodeOptions, FileFormat } from "./format.js";
export { FILE_FORMATS, type FileFormatName } from "./formats.js";
export { DTYPE_BITS, type DType, FLOAT_DTYPES, type FloatDType } from "./picture/dtype.js";
export { fromFloats, toFloats } from "./picture/floats.js";
export { checkLoraFile, type LoraFile, type LoraTarget, PLAIN_FILE, scalingOf } from "./picture/lora-file.js";
export { byteLengthOf, elementCount, type Tensor, type TensorFile } from "./picture/tensor-file.js";
