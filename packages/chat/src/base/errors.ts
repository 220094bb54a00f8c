import { MicroLoraError } from "microlora";

/** Every reason for which this package refuses something; a caller may switch on it. */
export type ChatErrorCode =
  | "aborted"
  | "corrupt-state"
  | "invalid-option"
  | "no-chat-template"
  | "not-a-string"
  | "text-too-long"
  | "unknown-fact"
  | "unsupported-model"
  | "unsupported-tokenizer"
  | "wrong-model";

/** The one error this package throws: a literal `code`, `where` it happened, and a message that says what to do. */
export class ChatError extends MicroLoraError {
  /** Name of the error's class. */
  override readonly name = "ChatError";

  /**
   * @param code literal reason
   * @param where the argument, field or file that was refused
   * @param problem what was wrong with it, with the values seen and expected
   * @param remedy what the caller can do
   */
  constructor(
    /** The reason, a literal that a caller may switch on. */
    override readonly code: ChatErrorCode,
    where: string,
    problem: string,
    remedy: string,
    options?: ErrorOptions,
  ) {
    super(code, where, problem, remedy, options);
  }
}
