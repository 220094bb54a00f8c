import { MicroLoraError } from "microlora";

/** Every reason for which a search refuses something itself; errors of embedder, index, users and store pass through. */
export type SearchErrorCode =
  /** The search was closed. */
  | "closed"
  /** A document has an id that another one has already. */
  | "duplicate-document"
  /** An argument or an option is of a wrong kind. */
  | "invalid-argument"
  /** There is no document of this id, or it was removed. */
  | "unknown-document"
  /** The search of a hit is not remembered: it is too long ago, its user was forgotten, or another process ran it. */
  | "unknown-search"
  /** The index cannot do this. */
  | "unsupported-index"
  /** What was learned of a user was learned with another embedder. */
  | "wrong-embedder"
  /** The embedder gave something else than one vector of one width for each text. */
  | "wrong-embedding";

/** The error of this package. Its message reads "where: problem. Remedy." */
export class SearchError extends MicroLoraError {
  /** Name of the error's class. */
  override readonly name = "SearchError";
  /** The reason, a literal that a caller may switch on. */
  declare readonly code: SearchErrorCode;

  /**
   * @param where the argument, document or user that was refused
   * @param problem what was wrong, with the values seen and expected
   * @param remedy what the caller can do
   */
  constructor(code: SearchErrorCode, where: string, problem: string, remedy: string, options?: ErrorOptions) {
    super(code, where, problem, remedy, options);
  }
}

/** A value as an error message shows it. */
export function shown(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "object" && value !== null) return Array.isArray(value) ? "a list" : "an object";
  return typeof value === "function" ? "a function" : String(value);
}

/** Refuses an argument. @throws SearchError `invalid-argument` */
export function refuse(where: string, value: unknown, remedy: string): never {
  throw new SearchError("invalid-argument", where, `is ${shown(value)}`, remedy);
}

/** Refuses options that do not exist. @throws SearchError `invalid-argument` */
export function checkOptions(options: unknown, names: readonly string[], where: string): void {
  if (typeof options !== "object" || options === null) refuse(where, options, "Pass an object");
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    throw new SearchError("invalid-argument", `${where}.${name}`, "does not exist", `There are ${names.join(", ")}`);
  }
}
