import { sameBytes } from "../base/bytes.js";
import { StoreError } from "../base/errors.js";
import type { UserKey } from "../contract/keys.js";
import type { Duplicate, EventContent, NewEvent } from "../contract/store.js";
import type { UserState } from "./state.js";

/** An event as a turn commits it; the pool adds what is the same for all. */
export type TurnEvent = Pick<EventContent, "id" | "kind" | "payload" | "source" | "answer">;

/** What became of an event that a turn committed. */
export type Committed =
  | { readonly status: "ok"; readonly seq: number }
  /** The id was learned from before; the state did not change. */
  | Duplicate
  /** The id is one of a user of this name who was erased; the state did not change. */
  | { readonly status: "erased" };

/** One user, for as long as a function runs. No other turn of this user runs in between. */
export interface Turn<State extends UserState> {
  /** The user whose turn it is. */
  readonly key: UserKey;
  /** The user's state; changes go through `commit`. */
  readonly state: State;
  /** The number of events that the state has seen. */
  readonly version: number;
  /**
   * Applies an event to the state, at once. It is on disk before `with` is fulfilled.
   * @throws MicroLoraError whatever `apply` refuses; the state did not change, and nothing is stored
   */
  commit(event: TurnEvent): Committed;
}

export interface TurnHost<State extends UserState> {
  readonly key: UserKey;
  readonly state: State;
  /** The seq of the state. */
  readonly seq: number;
  readonly kernels: string;
  readonly version: string;
  readonly now: number;
  /** Outcomes of ids from earlier tries of this turn; null for a new id. */
  readonly outcomes: ReadonlyMap<string, Committed | null>;
  /** Whether an id may be taken, as far as memory knows. */
  mayBeTaken(id: string): boolean;
  /** Applies a step; makes room where it has to. */
  apply(event: NewEvent): void;
}

/** A turn, and what it did. */
export class RecordedTurn<State extends UserState> implements Turn<State> {
  /** Events that were applied, in order, and have to be appended. */
  readonly events: NewEvent[] = [];
  /** Events whose ids have to be looked up; what the turn was told of them is a guess, and it runs again. */
  readonly unsure: TurnEvent[] = [];
  readonly #host: TurnHost<State>;
  /** Events of this turn that are in the log, or will be. */
  readonly #own = new Map<string, { readonly first: TurnEvent; readonly seq: number }>();
  #ended = false;

  constructor(host: TurnHost<State>) {
    this.#host = host;
  }

  get key(): UserKey {
    return this.#host.key;
  }

  get state(): State {
    return this.#host.state;
  }

  get version(): number {
    return this.#host.seq + this.events.length;
  }

  commit(event: TurnEvent): Committed {
    if (this.#ended) {
      throw new StoreError(
        "closed",
        "turn",
        "has ended",
        "Commit before the function of `with` is done, or start another turn",
      );
    }
    const { key, kernels, version, now, outcomes } = this.#host;
    const own = this.#own.get(event.id);
    if (own !== undefined) return duplicateOf(key, own, event);
    const known = outcomes.get(event.id);
    if (known?.status === "ok") this.#own.set(event.id, { first: event, seq: known.seq });
    if (known) return known;
    if (known === undefined && this.#host.mayBeTaken(event.id)) {
      this.unsure.push(event);
      return { status: "ok", seq: this.version };
    }
    const { id, kind, payload, source, answer } = event;
    const whole: NewEvent = {
      id,
      kind,
      payload,
      source,
      answer,
      key,
      expectedSeq: this.version,
      kernels,
      version,
      time: now,
    };
    this.#host.apply(whole);
    this.events.push(whole);
    this.#own.set(id, { first: event, seq: this.version });
    return { status: "ok", seq: this.version };
  }

  end(): void {
    this.#ended = true;
  }
}

function duplicateOf(
  { user }: UserKey,
  { first, seq }: { readonly first: TurnEvent; readonly seq: number },
  { source }: TurnEvent,
): Duplicate {
  return { status: "duplicate", user, seq, same: sameBytes(first.source, source), answer: first.answer };
}
