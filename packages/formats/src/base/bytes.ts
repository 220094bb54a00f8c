import { FormatError } from "./errors.js";

/** Refuses anything but a Uint8Array, such as the ArrayBuffer that `fetch` gives. @throws FormatError `invalid-argument` */
export function checkBytes(bytes: Uint8Array): void {
  if (bytes instanceof Uint8Array) return;
  throw new FormatError("invalid-argument", "bytes", "are not a Uint8Array", "Pass new Uint8Array(buffer)");
}
