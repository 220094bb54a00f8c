import { MicroLoraError } from "microlora";

/** Every reason for which the embedder refuses something; a caller may switch on it. */
export type EmbedErrorCode =
  | "checksum-mismatch"
  | "corrupt-weights"
  | "invalid-option"
  | "not-a-string"
  | "not-weights"
  | "truncated-weights"
  | "unsupported-version"
  | "weights-unavailable"
  | "wrong-length";

/** The one error of this package: a literal `code`, `where` it happened, and a message that says what to do. */
export class EmbedError extends MicroLoraError {
  /** Name of the error's class. */
  override readonly name = "EmbedError";

  /**
   * @param code literal reason
   * @param where the argument, field or file that was refused
   * @param problem what was wrong with it, with the values seen and expected
   * @param remedy what the caller can do
   */
  constructor(
    /** The reason, a literal that a caller may switch on. */
    override readonly code: EmbedErrorCode,
    where: string,
    problem: string,
    remedy: string,
    options?: ErrorOptions,
  ) {
    super(code, where, problem, remedy, options);
  }
}

/** A value as an error message shows it: short, and safe whatever a caller put there. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  return typeof value === "function" ? "a function" : String(value);
}
