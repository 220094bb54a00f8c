/** Every reason for which the core refuses something; a caller may switch on it. */
export type ErrorCode =
  | "checksum-mismatch"
  | "clock-backwards"
  | "corrupt-checkpoint"
  | "disposed"
  | "expired-request"
  | "invalid-config"
  | "kernels-unavailable"
  | "memory-full"
  | "mixed-feedback"
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
  | "unknown-request"
  | "unsupported-version"
  | "update-overflow"
  | "wrong-base";

/** A value as an error message shows it: short, and safe whatever a file or a caller put there. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  return typeof value === "function" ? "a function" : String(value);
}

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
