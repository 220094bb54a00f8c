export { OnnxError, type OnnxErrorCode } from "./base/errors.js";
export type * from "./graph/ir.js";
export { readModel } from "./graph/serde/read.js";
export type { WeightPlacement } from "./graph/serde/tensor.js";
export { encodeModel } from "./graph/serde/write.js";
