import type { DocumentId } from "microlora";
import { refuse } from "../base/errors.js";
import { checkId } from "../base/ids.js";

/** What a user did. */
export type Deed<Id extends DocumentId = DocumentId> =
  | { readonly kind: "click"; readonly chosen: Id; readonly shown: readonly Id[] }
  /** None of what was shown was chosen. */
  | { readonly kind: "skip"; readonly shown: readonly Id[] }
  /** A rating from -1 to 1. */
  | { readonly kind: "rate"; readonly item: Id; readonly rating: number };

/** Something that was learned from: the query in words, and what became of it. */
export type Happening<Id extends DocumentId = DocumentId> = Deed<Id> & { readonly query: string };

/** An event of a user's log, as `export` gives it; JSON can hold it, unless ids are bigints. */
export type SearchEvent<Id extends DocumentId = DocumentId> = Happening<Id> & {
  readonly id: string;
  /** Place in the log: 1, 2, 3, … */
  readonly seq: number;
  /** When it was received, in milliseconds since 1970. */
  readonly time: number;
};

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** An event as the log keeps it beside what was learned: canonical JSON. */
export function encodeHappening(happening: Happening): Uint8Array {
  const { kind, query } = happening;
  const deed =
    kind === "click"
      ? { chosen: happening.chosen, shown: happening.shown }
      : kind === "skip"
        ? { shown: happening.shown }
        : { item: happening.item, rating: happening.rating };
  return encoder.encode(JSON.stringify({ kind, query, ...deed }, writeBigint));
}

/** What `encodeHappening` wrote; the store's checksum vouches for the bytes. */
export function decodeHappening<Id extends DocumentId>(bytes: Uint8Array): Happening<Id> {
  return JSON.parse(decoder.decode(bytes), readBigint) as Happening<Id>;
}

function writeBigint(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? { bigint: String(value) } : value;
}

function readBigint(_: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("bigint" in value)) return value;
  return BigInt(String(value.bigint));
}

/** Checks what a caller says that a user did. @throws SearchError `invalid-argument` */
export function checkDeed(deed: Deed): void {
  const { kind } = deed;
  if (kind === "rate") {
    checkRating(deed.rating);
    checkId(deed.item, "item");
  } else if (kind === "click") {
    checkId(deed.chosen, "chosen");
    const isShown = Array.isArray(deed.shown) && deed.shown.includes(deed.chosen);
    if (!isShown) refuse("shown", deed.shown, "Pass the ids of all that was shown, the chosen one too");
  } else if (kind === "skip") {
    const isSome = Array.isArray(deed.shown) && deed.shown.length > 0;
    if (!isSome) refuse("shown", deed.shown, "Pass the ids of all that was shown");
  } else refuse("kind", kind, 'Pass "click", "skip" or "rate"');
}

/** @throws SearchError `invalid-argument` */
export function checkRating(rating: unknown): void {
  if (typeof rating === "number" && rating >= -1 && rating <= 1) return;
  refuse("rating", rating, "Pass a number from -1 to 1");
}
