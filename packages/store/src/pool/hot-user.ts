import { StoreError } from "../base/errors.js";
import type { UserKey } from "../contract/keys.js";
import type { NewEvent } from "../contract/store.js";
import { CommitQueue } from "./commit-queue.js";
import { type FoldOptions, foldUser, isMemoryFull, withRoom } from "./fold.js";
import type { PoolMetrics } from "./metrics.js";
import type { UserState } from "./state.js";
import { type Committed, RecordedTurn, type Turn } from "./turn.js";

export interface HotUserOptions<State extends UserState> extends FoldOptions<State> {
  readonly version: string;
  readonly snapshotEvery: number;
  readonly metrics: PoolMetrics;
  /** How old the state may be where other processes share the store. */
  readonly freshMs: number;
  elapsed(): number;
  now(): number;
  /** Hears of each change of memory or of use. */
  touched(): void;
  /** Takes what goes on in the background, so that `close` can wait for it. */
  background(work: Promise<unknown>): void;
}

/** A turn that waits, or runs, or waits for the disk. */
interface Task<State extends UserState> {
  readonly order: number;
  readonly run: (turn: Turn<State>) => unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly outcomes: Map<string, Committed | null>;
  tries: number;
}

/** Something that runs alone, with nothing under way. */
interface Exclusive {
  readonly order: number;
  readonly alone: () => Promise<void>;
  /** Whether the state is dropped first. */
  readonly drops: boolean;
}

/** Memory of a user beside the state: the object, its maps, recent ids. */
const OVERHEAD_BYTES = 1024;
const RECENT_IDS = 32;
const MAX_TRIES = 16;

/**
 * A user in memory. Turns run one after the other, on a state that may be ahead of the disk; each is answered when all that it saw is on
 * disk. Where the store refuses an event, the state is dropped and read again, and the turns that saw it run again.
 */
export class HotUser<State extends UserState> {
  readonly key: UserKey;
  readonly #options: HotUserOptions<State>;
  #queue: (Task<State> | Exclusive)[] = [];
  #state: State | null = null;
  #seq = 0;
  #snapshotSeq = 0;
  #recent = new Set<string>();
  readonly #commits: CommitQueue;
  /** Whether the state is ahead of the store, or may be behind it, and has to be read again. */
  #isStale = false;
  #isWorking = false;
  #order = 0;
  /** When the state was the newest for sure, as `elapsed` counts. */
  #freshAt = Number.NEGATIVE_INFINITY;
  #isConfirming = false;

  constructor(key: UserKey, options: HotUserOptions<State>) {
    this.key = key;
    this.#options = options;
    this.#commits = new CommitQueue(options.store, () => {
      this.#isStale = true;
    });
  }

  /** Bytes of memory that it takes. */
  get byteLength(): number {
    return OVERHEAD_BYTES + (this.#state?.byteLength ?? 0);
  }

  /** Whether somebody uses it; then it is not evicted. */
  get isPinned(): boolean {
    return this.#isWorking || !this.#commits.isIdle || this.#queue.length > 0;
  }

  /**
   * Has the store asked, before the next turn, whether the state is the newest: where another process may have changed it, and nobody has asked
   * for a while. A state that nobody can vouch for is read again.
   */
  confirm(): void {
    const { store, elapsed, freshMs } = this.#options;
    const isDue = store.head !== undefined && this.#state !== null && elapsed() - this.#freshAt >= freshMs;
    if (!isDue || this.#isConfirming) return;
    this.#isConfirming = true;
    void this.#alone(async () => {
      const asked = elapsed();
      const seq = await store.head!(this.key).catch(() => null);
      if (seq === this.#seq) this.#freshAt = asked;
      else this.#isStale = true;
      this.#isConfirming = false;
    }, false);
  }

  /** Runs a turn after those before it. */
  turn(run: (turn: Turn<State>) => unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#enqueue({ order: this.#order++, run, resolve, reject, outcomes: new Map(), tries: 0 });
    });
  }

  /** Runs something once nothing is under way, without a state in memory. */
  alone<Value>(run: () => Promise<Value>): Promise<Value> {
    return this.#alone(run, true);
  }

  /** Evicts the user once nothing is under way. */
  leave(snapshotFrom: number): Promise<void> {
    return this.#alone(async () => this.evict(snapshotFrom), false);
  }

  #alone<Value>(run: () => Promise<Value>, drops: boolean): Promise<Value> {
    return new Promise((resolve, reject) => {
      this.#enqueue({ order: this.#order++, alone: () => run().then(resolve, reject), drops });
    });
  }

  /** Drops the state, so that the next turn reads it again: another process may have changed it. */
  refresh(): Promise<void> {
    return this.alone(async () => {});
  }

  /** Keeps a snapshot if enough events came since the last one, and frees the memory. Only what is not pinned is evicted. */
  evict(snapshotFrom: number): void {
    const isWorth = !this.#isStale && this.#seq - this.#snapshotSeq >= snapshotFrom;
    if (this.#state !== null && isWorth) this.#keepSnapshot(this.#state);
    this.#drop();
  }

  #enqueue(item: Task<State> | Exclusive): void {
    this.#queue.push(item);
    void this.#work();
  }

  async #work(): Promise<void> {
    if (this.#isWorking) return;
    this.#isWorking = true;
    while (this.#queue.length > 0) {
      if (this.#isStale || "alone" in this.#queue[0]!) await this.#pause();
      const item = this.#queue.shift()!;
      if ("alone" in item) await item.alone();
      else await this.#perform(item);
      if (this.#queue.length === 0) this.#commits.flush();
    }
    this.#isWorking = false;
    this.#options.touched();
  }

  /** Waits until nothing is under way; then the turns that have to run again stand before those that came after them. */
  async #pause(): Promise<void> {
    await this.#commits.settled();
    this.#queue.sort((a, b) => a.order - b.order);
    const [next] = this.#queue;
    if (this.#isStale || ("alone" in next! && next.drops)) this.#drop();
  }

  async #perform(task: Task<State>): Promise<void> {
    const { metrics, makeRoom } = this.#options;
    try {
      if (++task.tries > MAX_TRIES) throw refuseContended(this.key);
      if (task.tries > 1) metrics.reruns++;
      const state = this.#state ?? (await this.#load());
      if (!(await this.#keepSnapshotIfDue(state))) return this.#again(task);
      const turn = this.#begin(task, state);
      const outcome = await this.#run(task, turn);
      turn.end();
      if (turn.unsure.length > 0) await this.#lookUp(task, turn);
      else if ("thrown" in outcome && isMemoryFull(outcome.thrown) && turn.events.length === 0 && makeRoom())
        this.#again(task);
      else this.#commit(task, turn.events, outcome);
    } catch (error) {
      task.reject(error);
    }
    this.#options.touched();
  }

  /** Runs the function; what ran before it does not wait for one that takes its time. */
  async #run(task: Task<State>, turn: Turn<State>): Promise<Outcome> {
    try {
      const value = task.run(turn);
      if (!(value instanceof Promise)) return { value };
      this.#commits.flush();
      return { value: await value };
    } catch (thrown) {
      return { thrown };
    }
  }

  async #load(): Promise<State> {
    const { metrics, elapsed } = this.#options;
    const asked = elapsed();
    const { state, seq, snapshotSeq, events } = await foldUser(this.key, this.#options);
    this.#freshAt = asked;
    metrics.loads++;
    metrics.replayedEvents += events.length;
    this.#state = state;
    this.#seq = seq;
    this.#snapshotSeq = snapshotSeq;
    this.#recent = new Set(events.slice(-RECENT_IDS).map(({ id }) => id));
    this.#isStale = false;
    return state;
  }

  #begin(task: Task<State>, state: State): RecordedTurn<State> {
    const { kernels, version } = this.#options;
    return new RecordedTurn({
      key: this.key,
      state,
      seq: this.#seq,
      kernels,
      version,
      now: this.#options.now(),
      outcomes: task.outcomes,
      mayBeTaken: (id) => this.#recent.has(id),
      apply: (event) => withRoom(this.key, this.#options, () => state.apply(event)),
    });
  }

  /** Asks the store about ids that memory took for taken, and runs the turn again with the answers. */
  async #lookUp(task: Task<State>, { unsure, events }: RecordedTurn<State>): Promise<void> {
    if (events.length > 0) this.#isStale = true;
    await this.#commits.settled();
    for (const { id, source } of unsure) task.outcomes.set(id, await this.#options.store.find(this.key, id, source));
    this.#again(task);
  }

  /** Sends what a turn committed on its way, and answers it once all that it saw is on disk. */
  #commit(task: Task<State>, events: readonly NewEvent[], outcome: Outcome): void {
    const { metrics, touched } = this.#options;
    this.#seq += events.length;
    for (const { id } of events) this.#remember(id);
    this.#commits.add({
      events,
      taken: () => {
        metrics.committedEvents += events.length;
        if ("thrown" in outcome) task.reject(outcome.thrown);
        else task.resolve(outcome.value);
        touched();
      },
      again: (outcomes) => {
        for (const { id } of events) {
          const known = outcomes.get(id);
          if (known !== undefined && known.status !== "conflict" && known.status !== "error")
            task.outcomes.set(id, known);
        }
        this.#again(task);
        void this.#work();
      },
      refused: (error) => {
        task.reject(error);
        touched();
      },
    });
  }

  #again(task: Task<State>): void {
    this.#queue.unshift(task);
  }

  #remember(id: string): void {
    this.#recent.add(id);
    if (this.#recent.size <= RECENT_IDS) return;
    for (const oldest of this.#recent) {
      this.#recent.delete(oldest);
      return;
    }
  }

  /** Keeps a snapshot if it is due, once all events in it are on disk. @returns false if the state turned out to be ahead of the store */
  async #keepSnapshotIfDue(state: State): Promise<boolean> {
    if (this.#seq - this.#snapshotSeq < this.#options.snapshotEvery) return true;
    await this.#commits.settled();
    if (!this.#isStale) this.#keepSnapshot(state);
    return !this.#isStale;
  }

  /** Stores a snapshot in the background: the log is the truth, so nothing waits for it, and a failure is only counted. */
  #keepSnapshot(state: State): void {
    const { store, metrics } = this.#options;
    const seq = this.#seq;
    this.#snapshotSeq = seq;
    const kept = async () => {
      try {
        await store.snapshot(this.key, seq, state.toBytes());
        metrics.snapshots++;
      } catch {
        metrics.failedSnapshots++;
      }
    };
    this.#options.background(kept());
  }

  #drop(): void {
    this.#state?.close();
    this.#state = null;
    this.#recent = new Set();
    this.#isStale = false;
  }
}

/** What the function of a turn returned or threw. */
type Outcome = { readonly value: unknown } | { readonly thrown: unknown };

function refuseContended({ user }: UserKey): StoreError {
  return new StoreError("contended", `user ${user}`, `was changed by others ${MAX_TRIES} times in a row`, "Try again");
}
