import { ServiceError } from "./errors.js";

/** The longest name, in bytes of UTF-8; the store has the same limit. */
const MAX_BYTES = 256;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for.
const REFUSED = /[\u0000-\u001f\u007f]|\p{Surrogate}/u;

/** A name that every store can hold: of a user, an index, a document or an event. @throws ServiceError `invalid-body` */
export function checkName(name: string, where: string): string {
  if (name.length > 0 && !REFUSED.test(name) && Buffer.byteLength(name) <= MAX_BYTES) return name;
  const remedy = `Send 1 to ${MAX_BYTES} bytes of text without control characters`;
  throw new ServiceError("invalid-body", where, "is not a name", remedy);
}
