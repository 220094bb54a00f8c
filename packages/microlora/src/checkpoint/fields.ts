import { refusal, shown } from "../base/errors.js";
import { corrupt, REMEDY } from "./container.js";

/** A JSON object, or `corrupt-checkpoint`. */
export function record(value: unknown, where: string): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  return corrupt(where, "is not an object");
}

/** A JSON array, or `corrupt-checkpoint`. */
export function array(value: unknown, where: string): readonly unknown[] {
  return Array.isArray(value) ? value : corrupt(where, "is not a list");
}

/** A non-negative safe integer, or `corrupt-checkpoint`. */
export function count(value: unknown, where: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  return corrupt(where, `is ${shown(value)}, not a count`);
}

/** A finite number, or `corrupt-checkpoint`. */
export function finite(value: unknown, where: string): number {
  return typeof value === "number" && Number.isFinite(value) ? value : corrupt(where, `is ${shown(value)}`);
}

/** Runs a check of settings that came from a file, where what it refuses is `corrupt-checkpoint`. */
export function checkStored<T>(check: () => T): T {
  try {
    return check();
  } catch (cause) {
    const problem = (cause as Error).message;
    throw refusal("corrupt-checkpoint", "config", problem, REMEDY, { cause });
  }
}
