import { OnnxError } from "./errors.js";

/** A value as an error shows it, in few words and whatever it is. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "string") return JSON.stringify(value.slice(0, 40));
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return `an object of ${value.constructor?.name || "no class"}`;
  return typeof value === "function" || typeof value === "symbol" ? `a ${typeof value}` : String(value);
}

/** @throws OnnxError `invalid-argument` */
export function refuseArgument(where: string, value: unknown, remedy: string): never {
  throw new OnnxError("invalid-argument", where, `is ${shown(value)}`, remedy);
}

/** Refuses what is not an object, or a list. @throws OnnxError `invalid-argument` */
export function checkObject(value: unknown, where: string, remedy: string): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) refuseArgument(where, value, remedy);
}

/** Refuses options that are not an object, and unknown options. @throws OnnxError `invalid-argument` */
export function checkOptions(value: unknown, known: readonly string[], where: string): void {
  const remedy = `Pass an object with ${known.join(", ")}`;
  checkObject(value, where, remedy);
  const unknown = Object.keys(value as object).find((key) => !known.includes(key));
  if (unknown !== undefined)
    throw new OnnxError("invalid-argument", `${where}.${unknown}`, "there is no such option", remedy);
}
