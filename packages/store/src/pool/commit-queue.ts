import type { AppendOutcome, NewEvent, Store } from "../contract/store.js";

/** A turn that has run, and waits for the disk. */
export interface Ran {
  /** Events that it committed; none if it only looked. */
  readonly events: readonly NewEvent[];
  /** All that it saw is on disk. */
  taken(): void;
  /** It saw what the store did not take, and must run again; the outcomes are of those of its events that the store knows. */
  again(outcomes: ReadonlyMap<string, AppendOutcome>): void;
  /** The store failed. */
  refused(error: unknown): void;
}

/**
 * The turns of one user on their way to the disk. One append of the user is under way at a time, with the events of all turns that ran before
 * it was sent: so no event is appended behind one that was not taken.
 */
export class CommitQueue {
  readonly #store: Pick<Store, "append">;
  readonly #broken: () => void;
  #ran: Ran[] = [];
  #sending: Promise<void> | null = null;

  /** @param broken hears that the state is ahead of the store, and has to be dropped */
  constructor(store: Pick<Store, "append">, broken: () => void) {
    this.#store = store;
    this.#broken = broken;
  }

  /** Whether all turns that ran are answered. */
  get isIdle(): boolean {
    return this.#sending === null && this.#ran.length === 0;
  }

  /** Takes a turn; one that only looked is answered at once if it saw nothing that is on its way. */
  add(ran: Ran): void {
    if (ran.events.length === 0 && this.isIdle) ran.taken();
    else this.#ran.push(ran);
  }

  /** Sends what waits, if nothing is under way. */
  flush(): void {
    if (this.#sending !== null || this.#ran.length === 0) return;
    const group = this.#ran;
    this.#ran = [];
    this.#sending = this.#send(group).then(() => {
      this.#sending = null;
      this.flush();
    });
  }

  /** Fulfilled when all turns that ran are answered. */
  async settled(): Promise<void> {
    this.flush();
    while (this.#sending !== null) await this.#sending;
  }

  async #send(group: readonly Ran[]): Promise<void> {
    const events = group.flatMap((ran) => ran.events);
    try {
      const outcomes = events.length === 0 ? [] : await this.#store.append(events);
      this.#answer(group, events, outcomes);
    } catch (error) {
      this.#break();
      for (const ran of group) {
        if (ran.events.length === 0) ran.again(new Map());
        else ran.refused(error);
      }
    }
  }

  /** Answers the turns up to the first event that was not taken; the others run again. */
  #answer(group: readonly Ran[], events: readonly NewEvent[], outcomes: readonly AppendOutcome[]): void {
    const known = new Map(events.map(({ id }, i) => [id, outcomes[i]!]));
    const isTaken = (ran: Ran) => ran.events.every(({ id }) => known.get(id)!.status === "ok");
    const firstRefused = group.findIndex((ran) => !isTaken(ran));
    const taken = firstRefused < 0 ? group : group.slice(0, firstRefused);
    const others = group.slice(taken.length);
    if (others.length > 0) this.#break();
    for (const ran of taken) ran.taken();
    for (const ran of others) {
      const failed = ran.events.map(({ id }) => known.get(id)!).find((outcome) => outcome.status === "error");
      if (failed?.status === "error") ran.refused(failed.error);
      else ran.again(known);
    }
  }

  /** What ran behind events that were not taken is not sent. */
  #break(): void {
    this.#broken();
    const behind = this.#ran;
    this.#ran = [];
    for (const ran of behind) ran.again(new Map());
  }
}
