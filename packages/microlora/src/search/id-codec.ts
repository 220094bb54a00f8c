import { shown } from "../base/errors.js";
import { corrupt } from "../checkpoint/container.js";
import { record } from "../checkpoint/fields.js";
import type { DocumentId } from "./vector-index.js";

/** An id as JSON holds it: a bigint is an object of its digits. */
export function idHeader(id: DocumentId): unknown {
  return typeof id === "bigint" ? { bigint: String(id) } : id;
}

/** The id that JSON holds. @throws MicroLoraError `corrupt-checkpoint` */
export function readId(value: unknown, where: string): DocumentId {
  if (typeof value === "string" || Number.isFinite(value)) return value as DocumentId;
  const { bigint } = record(value, where);
  if (typeof bigint !== "string" || !/^-?\d+$/.test(bigint)) corrupt(where, `is ${shown(value)}`);
  return BigInt(bigint);
}
