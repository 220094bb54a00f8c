import { StoreError } from "../base/errors.js";
import { checkedName } from "./keys.js";
import type { NewEvent } from "./store.js";

/** The largest event, with its source, and the largest snapshot. */
export const MAX_BYTES = 64 * 1024 * 1024;
/** The largest seq: a user may have four thousand million events. */
export const MAX_SEQ = 2 ** 32 - 2;
const MAX_PAGE = 1000;
const DEFAULT_PAGE = 100;
/** The longest answer, which outlives its event. */
const MAX_ANSWER = 4096;

/** Checks a batch before anything of it is stored. @throws StoreError `invalid-argument` */
export function checkBatch(batch: readonly NewEvent[]): void {
  if (!Array.isArray(batch)) refuse("batch", "is not a list", "Pass a list of events");
  for (const [i, event] of batch.entries()) checkEvent(event, `event ${i}`);
}

function checkEvent(event: NewEvent, where: string): void {
  checkedName(event.key.tenant, `${where}: tenant`);
  checkedName(event.key.user, `${where}: user`);
  checkedName(event.id, `${where}: id`);
  for (const name of ["kind", "kernels", "version"] as const) checkedName(event[name], `${where}: ${name}`);
  checkSeq(event.expectedSeq, `${where}: expectedSeq`);
  checkTime(event.time, `${where}: time`);
  checkBytes(event.payload, `${where}: payload`);
  checkBytes(event.source, `${where}: source`);
  if (typeof event.answer !== "string" || event.answer.length > MAX_ANSWER) {
    refuse(`${where}: answer`, "is too long or no text", `Pass at most ${MAX_ANSWER} characters`);
  }
}

/** @throws StoreError `invalid-argument` */
export function checkSeq(seq: number, where: string): void {
  if (Number.isInteger(seq) && seq >= 0 && seq <= MAX_SEQ) return;
  refuse(where, `is ${seq}`, `Pass a whole number from 0 to ${MAX_SEQ}`);
}

/** @throws StoreError `invalid-argument` */
export function checkBytes(bytes: Uint8Array, where: string): void {
  if (!(bytes instanceof Uint8Array)) refuse(where, "is not a Uint8Array", "Pass bytes");
  if (bytes.length > MAX_BYTES) refuse(where, `has ${bytes.length} bytes`, `Pass at most ${MAX_BYTES}`);
}

/** @throws StoreError `invalid-argument` */
export function checkTime(time: number, where: string): void {
  if (Number.isSafeInteger(time) && time >= 0) return;
  refuse(where, `is ${time}`, "Pass whole milliseconds since 1970");
}

/** The size of a page that was asked for. @throws StoreError `invalid-argument` */
export function pageSize(limit = DEFAULT_PAGE): number {
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_PAGE) return limit;
  return refuse("limit", `is ${limit}`, `Pass a whole number from 1 to ${MAX_PAGE}`);
}

function refuse(where: string, problem: string, remedy: string): never {
  throw new StoreError("invalid-argument", where, problem, remedy);
}
