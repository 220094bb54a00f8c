import { MicroLoraError } from "microlora";

/** Every reason for which a store or a pool refuses something. */
export type StoreErrorCode =
  /** The store or the pool was closed. */
  | "closed"
  /** The log was cut by `compact` before the seq that was asked for. */
  | "compacted"
  /** Other processes changed the same user again and again while an event waited. */
  | "contended"
  /** A checksum, or the order of the log, shows that bytes changed on disk. */
  | "corrupt-store"
  /** The disk has no room; nothing was stored. */
  | "disk-full"
  /** No SQLite for this version of Node is installed. */
  | "driver-missing"
  /** Another process or tab has the store open for writing. */
  | "in-use"
  /** An id, a number or a batch of the caller is out of bounds. */
  | "invalid-argument"
  /** The operating system could not read or write; whether the last event is stored is not known. */
  | "io-error"
  /** The log was learned with other kernels than the ones that run here. */
  | "kernels-differ"
  /** The file is behind what was acknowledged: commits are missing at its end. */
  | "lost-commits"
  /** All users in memory are in use, and there is no room for one more. */
  | "memory-full"
  /** The file is there, and is not one of ours. */
  | "not-a-store"
  /** An event that was learned once is refused on replay. */
  | "replay-refused"
  /** The file was written by a newer version. */
  | "unsupported-version"
  /** The version that was asked for is not there yet. */
  | "version-ahead";

/** The error of stores and pools. Its message reads "where: problem. Remedy." */
export class StoreError extends MicroLoraError {
  /** Name of the error's class. */
  override readonly name = "StoreError";
  /** The reason, a literal that a caller may switch on. */
  declare readonly code: StoreErrorCode;

  /**
   * @param where the argument, file, user or record that was refused
   * @param problem what was wrong, with the values seen and expected
   * @param remedy what the caller can do
   */
  constructor(code: StoreErrorCode, where: string, problem: string, remedy: string, options?: ErrorOptions) {
    super(code, where, problem, remedy, options);
  }
}

/** The error of bytes that changed on disk. */
export function corrupt(where: string, problem: string): StoreError {
  return new StoreError("corrupt-store", where, problem, "Restore the store from a backup");
}
