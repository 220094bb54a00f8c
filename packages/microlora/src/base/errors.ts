/** Every reason for which the core refuses something. */
export type ErrorCode =
  | "cannot-read"
  | "cannot-write"
  | "checksum-mismatch"
  | "clock-backwards"
  | "conflict"
  | "corrupt-checkpoint"
  | "disposed"
  | "expired-request"
  | "invalid-argument"
  | "invalid-config"
  | "kernels-unavailable"
  | "memory-full"
  | "mixed-feedback"
  | "no-such-file"
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

/**
 * The error that every package of this project throws or extends, so that one `instanceof` catches them all.
 * Its message reads "where: problem. Remedy."
 */
export class MicroLoraError extends Error {
  /** Name of the error's class. */
  override readonly name: string = "MicroLoraError";
  /** The reason, a literal that a caller may switch on; the core's own are `ErrorCode`. */
  readonly code: ErrorCode | (string & {});
  /** The argument, field, file or byte offset that was refused. */
  readonly where: string;

  /**
   * @param problem what was wrong, with the values seen and expected
   * @param remedy what the caller can do
   */
  constructor(code: ErrorCode | (string & {}), where: string, problem: string, remedy: string, options?: ErrorOptions) {
    const place = printable(where);
    super(`${place}: ${printable(problem)}. ${remedy}.`, options);
    this.code = code;
    this.where = place;
  }
}

/** Names come from files and callers: in a message they are neither endless nor able to move a terminal's cursor. */
function printable(text: string): string {
  const short = text.length > 300 ? `${text.slice(0, 300)}…` : text;
  return short.replace(/\p{C}/gu, "\ufffd");
}

/** An error of the core, whose code is one of `ErrorCode`. */
export function refusal(
  code: ErrorCode,
  where: string,
  problem: string,
  remedy: string,
  options?: ErrorOptions,
): MicroLoraError {
  return new MicroLoraError(code, where, problem, remedy, options);
}

/** Shows a value in an error message: short, and safe whatever a file or a caller put there. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  return typeof value === "function" ? "a function" : String(value);
}
