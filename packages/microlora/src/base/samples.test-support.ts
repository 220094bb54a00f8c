import { expect } from "vitest";
import { type ErrorCode, MicroLoraError } from "./errors.js";

/** A source of numbers in [0, 1): mulberry32. */
export function uniformFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** Float32 values in [-size, size), the same ones for the same seed. */
export function floats(length: number, seed: number, size = 1): Float32Array {
  const uniform = uniformFrom(seed);
  return Float32Array.from({ length }, () => (uniform() * 2 - 1) * size);
}

/** `base` with one element replaced. */
export function withElement(base: Float32Array, index: number, value: number): Float32Array {
  const copy = base.slice();
  copy[index] = value;
  return copy;
}

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
