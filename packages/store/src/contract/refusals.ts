import { StoreError } from "../base/errors.js";
import type { UserKey } from "./keys.js";

/** The error of a store that was closed. */
export function refuseClosed(): StoreError {
  return new StoreError("closed", "store", "was closed", "Open it again");
}

/** The error of a seq that a user does not have. */
export function refuseSeq({ user }: UserKey, seq: number, start: number, last: number): StoreError {
  const problem = `has events ${start + 1} to ${last}, and ${seq} was asked for`;
  return new StoreError("invalid-argument", `user ${user}`, problem, "Ask for a seq that is there");
}

/** The error of events that `compact` removed. */
export function refuseCompacted({ user }: UserKey, first: number): StoreError {
  const remedy = "Ask for a later seq, or keep events longer";
  return new StoreError("compacted", `user ${user}`, `events from ${first} on are needed, and some are gone`, remedy);
}
