import { expect } from "vitest";
import { type ErrorCode, MicroLoraError } from "./errors.js";

/** Bytes are compared at once: a diff of thousands of them helps nobody. */
export function expectSameBytes(actual: Uint8Array, expected: Uint8Array): void {
  expect(Buffer.compare(actual, expected), "the bytes differ").toBe(0);
}

/** What refusing looks like: a MicroLoraError of this code, with a place and a remedy. */
export function expectRefusal(action: () => unknown, code: ErrorCode, where?: string): void {
  expectError(thrownBy(action), code, where);
}

/** As `expectRefusal`, of a promise. */
export async function expectRejection(action: Promise<unknown>, code: ErrorCode, where?: string): Promise<void> {
  const error = await action.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expectError(error, code, where);
}

export function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

function expectError(error: unknown, code: ErrorCode, where?: string): void {
  if (!(error instanceof MicroLoraError)) throw new Error(`expected ${code}, got ${String(error)}`, { cause: error });
  expect(error.code).toBe(code);
  expect(error.where).not.toBe("");
  if (where !== undefined) expect(error.where).toBe(where);
  const remedy = error.message.split(". ").slice(1).join(". ");
  expect(remedy, "says what to do").toMatch(/^[A-Z].*\.$/);
}
