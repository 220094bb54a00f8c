/**
 * The graph of an ONNX model as a value: read, infer, simplify, differentiate, write. Everything that `@microlora/onnx` itself is
 * made with, for tools that edit graphs.
 */
export { type Backward, type BackwardRequest, backward, type NoGradient } from "./autodiff/backward.js";
export { OnnxError, type OnnxErrorCode } from "./base/errors.js";
export { type AttributeValue, GraphBuilder, tensorOf } from "./graph/builder.js";
export { feedInitializers } from "./graph/feed-initializers.js";
export { inferTypes } from "./graph/infer/infer.js";
export type * from "./graph/ir.js";
export { inlineFunctions } from "./graph/passes/inline-functions.js";
export { raiseOpset } from "./graph/passes/raise-opset.js";
export { simplify } from "./graph/passes/simplify.js";
export { readModel } from "./graph/serde/read.js";
export type { WeightPlacement } from "./graph/serde/tensor.js";
export { encodeModel } from "./graph/serde/write.js";
export * from "./graph/verbs.js";
