import { MicroLoraError } from "microlora";

/** Every reason for which an evaluation stops. */
export type EvaluateErrorCode =
  | "cannot-read"
  | "missing-column"
  | "no-good-rows"
  | "no-such-file"
  | "too-few-users"
  | "unknown-column"
  | "unknown-format"
  | "wrong-documents"
  | "wrong-work-folder";

/** A log, a file of documents or a folder of work that cannot be evaluated: which one, why, and what to do. */
export class EvaluateError extends MicroLoraError {
  override readonly name = "EvaluateError";

  constructor(code: EvaluateErrorCode, where: string, problem: string, remedy: string, options?: ErrorOptions) {
    super(code, where, problem, remedy, options);
  }
}
