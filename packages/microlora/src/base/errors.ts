/** Every reason for which the core refuses something; a caller may switch on it. */
export type ErrorCode =
  | "checksum-mismatch"
  | "corrupt-checkpoint"
  | "disposed"
  | "invalid-config"
  | "kernels-unavailable"
  | "memory-full"
  | "not-a-checkpoint"
  | "not-finite"
  | "not-shown"
  | "nothing-to-learn-from"
  | "out-of-range"
  | "shape-mismatch"
  | "stale-token"
  | "truncated-checkpoint"
  | "unknown-document"
  | "unknown-module"
  | "unsupported-version"
  | "update-overflow"
  | "wrong-base";

/** The one error the core throws: a literal `code`, `where` it happened, and a message that says what to do. */
export class MicroLoraError extends Error {
  override readonly name = "MicroLoraError";

  /**
   * @param code literal reason
   * @param where the argument, field or byte offset that was refused
   * @param problem what was wrong with it, with the values seen and expected
   * @param remedy what the caller can do
   */
  constructor(
    readonly code: ErrorCode,
    readonly where: string,
    problem: string,
    remedy: string,
    options?: ErrorOptions,
  ) {
    super(`${where}: ${problem}. ${remedy}.`, options);
  }
}
