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

/** The one error this package throws: a literal `code`, `where` it happened, and a message that says what to do. */
export class EmbedError extends Error {
  override readonly name = "EmbedError";

  /**
   * @param code literal reason
   * @param where the argument, field or file that was refused
   * @param problem what was wrong with it, with the values seen and expected
   * @param remedy what the caller can do
   */
  constructor(
    readonly code: EmbedErrorCode,
    readonly where: string,
    problem: string,
    remedy: string,
    options?: ErrorOptions,
  ) {
    super(`${where}: ${problem}. ${remedy}.`, options);
  }
}

/** The error for weights that could not be had from where they should be. */
export function weightsUnavailable(url: URL, cause: unknown, remedy: string): EmbedError {
  const problem = cause instanceof Error ? cause.message : String(cause);
  return new EmbedError("weights-unavailable", String(url), problem, remedy, { cause });
}
