import type { StoredEvent } from "./store.js";

/** Whether events are those from one seq to another, in order and without gaps. */
export function isWhole(events: readonly StoredEvent[], first: number, last: number): boolean {
  return events.length === last - first + 1 && events.every(({ seq }, i) => seq === first + i);
}
