import { expect } from "vitest";
import { FormatError, type FormatErrorCode } from "./errors.js";

/** What refusing looks like: a FormatError of this code, with a place and a remedy. */
export function expectRefusal(action: () => unknown, code: FormatErrorCode, where?: string | RegExp): void {
  let error: unknown;
  try {
    action();
  } catch (thrown) {
    error = thrown;
  }
  expectFormatError(error, code, where);
}

export function expectFormatError(error: unknown, code: FormatErrorCode, where?: string | RegExp): void {
  if (!(error instanceof FormatError)) throw new Error(`expected ${code}, got ${String(error)}`, { cause: error });
  expect(error.code, error.message).toBe(code);
  expect(error.where).not.toBe("");
  if (where !== undefined) expect(error.where).toMatch(where);
  expect(error.message, "says what to do").toMatch(/\. [A-Z][^.]*.*\.$/);
}
