import type { DocumentId } from "microlora";
import { refuse, SearchError, shown } from "./errors.js";

/** @throws SearchError `invalid-argument` */
export function checkId(id: unknown, where: string): void {
  if (typeof id === "string" || typeof id === "bigint" || Number.isFinite(id)) return;
  refuse(where, id, "Pass a string, a finite number or a bigint");
}

/** A document in an error message. */
export function nameOf(id: DocumentId): string {
  return `document ${shown(typeof id === "bigint" ? String(id) : id)}`;
}

/** The error of feedback on a document that is not there. */
export function goneError(id: DocumentId): SearchError {
  return new SearchError("unknown-document", nameOf(id), "is not in the index", "Drop the click: the document is gone");
}
