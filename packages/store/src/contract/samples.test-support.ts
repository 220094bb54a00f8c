import { userKey } from "./keys.js";
import type { NewEvent, Store, StoredEvent } from "./store.js";

export const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** An event whose fields all follow from its id. */
export function sampleEvent(user: string, id: string, expectedSeq: number, more: Partial<NewEvent> = {}): NewEvent {
  return {
    key: userKey("tenant", user),
    expectedSeq,
    id,
    time: 1_000_000 + expectedSeq,
    kind: "learn",
    kernels: "simd",
    version: "1",
    payload: text(`payload of ${id}`),
    source: text(`source of ${id}`),
    answer: `answer of ${id}`,
    ...more,
  };
}

/** What an event looks like once it is in the log. */
export function storedOf({ key: _, expectedSeq, ...content }: NewEvent): StoredEvent {
  return { ...content, seq: expectedSeq + 1 };
}

export async function collect<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const all: Value[] = [];
  for await (const value of values) all.push(value);
  return all;
}

/** Appends events of one user, one after the other, and returns them as they are in the log. */
export async function fill(store: Store, user: string, count: number, from = 0): Promise<StoredEvent[]> {
  const events = Array.from({ length: count }, (_, i) => sampleEvent(user, `${user}-${from + i + 1}`, from + i));
  const outcomes = await store.append(events);
  const refused = outcomes.find(({ status }) => status !== "ok");
  if (refused !== undefined) throw new Error(JSON.stringify(refused));
  return events.map(storedOf);
}
