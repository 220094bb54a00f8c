import { MicroLoraError } from "microlora";

/** Every reason for which this package refuses something; a caller may switch on it. */
export type OnnxErrorCode =
  | "cannot-write"
  | "disposed"
  | "external-data"
  | "invalid-argument"
  | "invalid-gguf"
  | "invalid-graph"
  | "not-finite"
  | "not-onnx"
  | "onnxruntime"
  | "out-of-memory"
  | "out-of-range"
  | "shape-mismatch"
  | "truncated"
  | "unknown-module"
  | "unknown-value"
  | "unreadable"
  | "unsupported-architecture"
  | "unsupported-method"
  | "unsupported-operator"
  | "unsupported-type"
  | "wrong-base";

/** The one error this package throws: a literal `code`, `where` it happened, and a message that says what to do. */
export class OnnxError extends MicroLoraError {
  /** Name of the error's class. */
  override readonly name = "OnnxError";

  /**
   * @param code literal reason
   * @param where the argument, node, value or byte offset that was refused
   * @param problem what was wrong with it, with what was seen and expected
   * @param remedy what the caller can do
   */
  constructor(
    /** The reason, a literal that a caller may switch on. */
    override readonly code: OnnxErrorCode,
    where: string,
    problem: string,
    remedy: string,
    options?: ErrorOptions,
  ) {
    super(code, where, problem.replace(/\.+$/, ""), remedy, options);
  }
}
