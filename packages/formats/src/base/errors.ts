import { MicroLoraError } from "microlora";

/** Every reason for which a file, or a request about one, is refused; a caller may switch on it. */
export type FormatErrorCode =
  | "bad-config"
  | "bad-header"
  | "bad-name"
  | "bad-offset"
  | "bad-shape"
  | "bad-value"
  | "cannot-read"
  | "cannot-write"
  | "duplicate-name"
  | "invalid-argument"
  | "missing-config"
  | "missing-tensor"
  | "needs-base"
  | "not-finite"
  | "not-this-format"
  | "several-adapters"
  | "tied-head"
  | "too-large"
  | "truncated"
  | "unexpected-tensor"
  | "unknown-format"
  | "unknown-module"
  | "unsupported-dtype"
  | "unsupported-variant"
  | "unsupported-version"
  | "wrong-base";

/** The one error of this package: a literal `code`, `where` it happened, and a message that says what to do. */
export class FormatError extends MicroLoraError {
  /** Name of the error's class. */
  override readonly name = "FormatError";

  /**
   * @param code literal reason
   * @param where the file's part, tensor, field or byte offset that was refused
   * @param problem what was wrong with it, with the values seen and expected
   * @param remedy what the caller can do
   */
  constructor(
    /** The reason, a literal that a caller may switch on. */
    override readonly code: FormatErrorCode,
    where: string,
    problem: string,
    remedy: string,
    options?: ErrorOptions,
  ) {
    super(code, where, problem, remedy, options);
  }
}

/** A value as an error message shows it: short, and safe whatever a file or a caller put there. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value);
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  return typeof value === "function" ? "a function" : String(value);
}
