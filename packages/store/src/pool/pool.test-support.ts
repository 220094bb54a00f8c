import { MicroLoraError } from "microlora";
import { text } from "../contract/samples.test-support.js";
import type { Store } from "../contract/store.js";
import type { PoolOptions } from "./pool.js";
import type { Step, UserState } from "./state.js";
import type { Turn, TurnEvent } from "./turn.js";

/** Memory that states share, so that it can run out. */
export class Room {
  left: number;

  constructor(states: number) {
    this.left = states;
  }
}

/** A state that is the list of payloads it has seen: what it learned, and in which order, can be read off it. */
export class ListState implements UserState {
  readonly seen: string[];
  readonly #room: Room;
  #closed = false;

  constructor(snapshot: Uint8Array | null, room = new Room(Number.POSITIVE_INFINITY)) {
    if (room.left < 1) throw new MicroLoraError("memory-full", "room", "is full", "Evict somebody");
    room.left--;
    this.#room = room;
    this.seen = snapshot === null ? [] : parsed(snapshot);
  }

  get byteLength(): number {
    return 100;
  }

  apply({ payload }: Step): void {
    if (this.#closed) throw new Error("a closed state was used");
    const said = new TextDecoder().decode(payload);
    if (said === "refused") throw new MicroLoraError("not-shown", "click", "was not shown", "Show it");
    this.seen.push(said);
  }

  toBytes(): Uint8Array {
    if (this.#closed) throw new Error("a closed state was used");
    return text(JSON.stringify(this.seen));
  }

  close(): void {
    if (this.#closed) throw new Error("a state was closed twice");
    this.#closed = true;
    this.#room.left++;
  }
}

function parsed(snapshot: Uint8Array): string[] {
  try {
    return JSON.parse(new TextDecoder().decode(snapshot)) as string[];
  } catch (error) {
    throw new MicroLoraError("corrupt-checkpoint", "snapshot", "is no JSON", "Use an older one", { cause: error });
  }
}

export function poolOptions(store: Store, more: Partial<PoolOptions<ListState>> = {}): PoolOptions<ListState> {
  return {
    store,
    create: (snapshot) => new ListState(snapshot),
    memoryBytes: 1e9,
    kernels: "simd",
    version: "1",
    now: () => 0,
    delay: async () => {},
    ...more,
  };
}

export function click(id: string, more: Partial<TurnEvent> = {}): TurnEvent {
  return { id, kind: "learn", payload: text(id), source: text(`source of ${id}`), answer: `answer of ${id}`, ...more };
}

export const learn = (id: string) => (turn: Turn<ListState>) => turn.commit(click(id));
export const look = (turn: Turn<ListState>) => ({ version: turn.version, seen: [...turn.state.seen] });
