export { OnnxError, type OnnxErrorCode } from "./base/errors.js";
export type * from "./graph/ir.js";
