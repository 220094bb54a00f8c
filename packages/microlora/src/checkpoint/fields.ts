import { shown } from "../base/errors.js";
import { corrupt } from "./container.js";

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

/** A finite number in [min, max], or `corrupt-checkpoint`. */
export function numberIn(value: unknown, min: number, max: number, where: string): number {
  if (typeof value === "number" && value >= min && value <= max) return value;
  return corrupt(where, `is ${shown(value)}, not a number in [${min}, ${max}]`);
}
