import type { StoredEvent } from "../contract/store.js";

/** What a state is folded from: the parts of an event that replay needs. */
export type Step = Pick<StoredEvent, "kind" | "version" | "payload">;

/**
 * The state of one user in memory, such as a `Personalizer`. It is a function of its bytes and the steps after them, to the bit: two states
 * that were folded alike have the same bytes.
 */
export interface UserState {
  /**
   * Takes a step, all or nothing.
   * @throws MicroLoraError `memory-full` if there is no room now; anything else it refuses, it would refuse on every replay
   */
  apply(step: Step): void;
  /** The state as bytes. */
  toBytes(): Uint8Array;
  /** Bytes of memory that it takes, for the limit of the pool. */
  readonly byteLength: number;
  /** Frees the memory. */
  close(): void;
}

/** Makes states: of a new user from null, of another one from what `toBytes` gave. @throws MicroLoraError `memory-full` */
export type CreateState<State extends UserState> = (snapshot: Uint8Array | null) => State;
