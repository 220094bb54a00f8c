import { keyOf } from "./keys.js";
import type { AppendOutcome, NewEvent } from "./store.js";

/**
 * Which events of a batch may be appended: once an event of a user is not taken, the later ones of this user are not either, whatever seq they
 * expect, since they were prepared on a state with it.
 */
export class BatchOrder {
  readonly #stopped = new Set<string>();

  mayAppend({ key }: NewEvent): boolean {
    return !this.#stopped.has(keyOf(key));
  }

  note({ key }: NewEvent, { status }: AppendOutcome): void {
    if (status !== "ok") this.#stopped.add(keyOf(key));
  }
}
