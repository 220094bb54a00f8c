import { StoreError } from "../base/errors.js";
import { keyOf, type UserKey } from "../contract/keys.js";
import type { ErasureReceipt, Store } from "../contract/store.js";
import { type Folded, type FoldOptions, foldUser } from "./fold.js";
import { HotUser } from "./hot-user.js";
import { noMetrics, type PoolMetrics } from "./metrics.js";
import type { CreateState, UserState } from "./state.js";
import type { Turn } from "./turn.js";

/** Options of a `Pool`. */
export interface PoolOptions<State extends UserState> {
  /** Where users' states live. */
  readonly store: Store;
  /** Makes the state of a new user, or one from a snapshot. */
  readonly create: CreateState<State>;
  /** Bytes that the users in memory may take; above it, those who were used least recently leave. */
  readonly memoryBytes: number;
  /** The kernels that states learn with. A log of other kernels is refused, since replay would give other bits. */
  readonly kernels: string;
  /** The version of the format of payloads, written into each event. */
  readonly version: string;
  /** Events of a user between two snapshots; 32 by default. */
  readonly snapshotEvery?: number;
  /** Events since the last snapshot for which an evicted user gets one; 16 by default. */
  readonly snapshotOnEviction?: number;
  /** How long a turn waits for `minVersion`, in milliseconds; 1,000 by default. */
  readonly waitMs?: number;
  /**
   * How old what is in memory may be where other processes share the store, in milliseconds; 1,000 by default. An erased user is gone from all
   * processes after that time, and `erase` waits for it.
   */
  readonly freshMs?: number;
  /** Milliseconds that have passed since some moment; `performance.now` by default. */
  readonly elapsed?: () => number;
  /** The time in milliseconds since 1970, for events; `Date.now` by default. */
  readonly now?: () => number;
  /** Waits so many milliseconds; by timers by default. */
  readonly delay?: (ms: number) => Promise<void>;
}

/** How a turn begins. */
export interface TurnOptions {
  /** The version that the state must have seen: read your own feedback, also across processes. */
  readonly minVersion?: number;
}

const POLL_MS = 20;

/**
 * The users in use. Each is loaded on demand, once for calls that come together; evicted by bytes; and answered only when all that was
 * learned is on disk.
 */
export class Pool<State extends UserState> {
  readonly #options: Required<PoolOptions<State>>;
  readonly #fold: FoldOptions<State>;
  /** By key, least recently used first. */
  readonly #users = new Map<string, HotUser<State>>();
  readonly #bytes = new Map<HotUser<State>, number>();
  readonly #background = new Set<Promise<unknown>>();
  readonly #metrics = noMetrics();
  #hotBytes = 0;
  #closed = false;

  constructor(options: PoolOptions<State>) {
    this.#options = {
      snapshotEvery: 32,
      snapshotOnEviction: 16,
      waitMs: 1000,
      freshMs: 1000,
      elapsed: () => performance.now(),
      now: Date.now,
      delay: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      ...options,
    };
    const { store, create, kernels } = this.#options;
    this.#fold = { store, create, kernels, makeRoom: () => this.#evictOne() };
  }

  /**
   * Runs a function on a user's state, after all earlier turns of this user. A user who is not known has the state of a new one, and becomes
   * known by the first event that is committed.
   *
   * The promise is fulfilled when all events that the function saw are on disk. Where the store refuses one of them, since another process
   * was faster or an id was taken, the function runs again on the state as it is then: it must have no other effects.
   * @throws whatever the function throws; StoreError `version-ahead`, `contended`, `memory-full`, `closed`, and as `Store.load` and `append`
   */
  async with<Value>(
    key: UserKey,
    run: (turn: Turn<State>) => Value | Promise<Value>,
    { minVersion = 0 }: TurnOptions = {},
  ): Promise<Value> {
    const deadline = Math.ceil(this.#options.waitMs / POLL_MS);
    this.#user(key).confirm();
    for (let tries = 0; ; tries++) {
      let version = 0;
      const result = await this.#user(key).turn((turn) => {
        version = turn.version;
        if (version < minVersion) return null;
        const value = run(turn);
        return value instanceof Promise ? value.then((each) => ({ value: each })) : { value };
      });
      if (result !== null) return (result as { value: Value }).value;
      if (tries >= deadline) throw refuseVersion(key, minVersion, version);
      if (tries > 0) await this.#options.delay(POLL_MS);
      await this.#user(key).refresh();
    }
  }

  /**
   * A user's state as it was after an event, apart from the one in memory; the caller closes it.
   * @throws StoreError as `Store.load`
   */
  async stateAt(key: UserKey, seq: number): Promise<Folded<State>> {
    this.#checkOpen();
    return foldUser(key, this.#fold, seq);
  }

  /** Erases a user, after all earlier turns of this user, from the store, and from the memory of every process that shares it. */
  async erase(key: UserKey): Promise<ErasureReceipt> {
    const { store, delay, freshMs } = this.#options;
    const receipt = await this.#user(key).alone(() => store.erase(key));
    if (store.head !== undefined) await delay(freshMs);
    return receipt;
  }

  /** What was counted so far. */
  metrics(): Readonly<PoolMetrics> {
    let pinnedUsers = 0;
    for (const user of this.#users.values()) if (user.isPinned) pinnedUsers++;
    return { ...this.#metrics, hotUsers: this.#users.size, hotBytes: this.#hotBytes, pinnedUsers };
  }

  /** Refuses new turns, waits for those under way, and keeps snapshots. The store stays open. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#users.values()].map((user) => user.leave(this.#options.snapshotOnEviction)));
    while (this.#background.size > 0) await Promise.all(this.#background);
    for (const key of this.#users.keys()) this.#remove(key);
  }

  #user(key: UserKey): HotUser<State> {
    this.#checkOpen();
    const name = keyOf(key);
    const user = this.#users.get(name) ?? this.#newUser(key);
    this.#users.delete(name);
    this.#users.set(name, user);
    return user;
  }

  #newUser(key: UserKey): HotUser<State> {
    const { version, snapshotEvery, now, freshMs, elapsed } = this.#options;
    const user: HotUser<State> = new HotUser(key, {
      ...this.#fold,
      version,
      snapshotEvery,
      metrics: this.#metrics,
      now,
      freshMs,
      elapsed,
      touched: () => this.#touched(user),
      background: (work) => {
        this.#background.add(work);
        void work.finally(() => this.#background.delete(work));
      },
    });
    return user;
  }

  /** Counts a user's bytes again, and evicts where they are too many. */
  #touched(user: HotUser<State>): void {
    if (this.#users.get(keyOf(user.key)) !== user) return;
    const bytes = user.byteLength;
    this.#hotBytes += bytes - (this.#bytes.get(user) ?? 0);
    this.#bytes.set(user, bytes);
    while (this.#hotBytes > this.#options.memoryBytes && this.#evictOne()) {}
  }

  /** Evicts the user who was used least recently. @returns false if all are in use */
  #evictOne(): boolean {
    for (const [name, user] of this.#users) {
      if (user.isPinned) continue;
      user.evict(this.#options.snapshotOnEviction);
      this.#metrics.evictions++;
      this.#remove(name);
      return true;
    }
    return false;
  }

  #remove(name: string): void {
    const user = this.#users.get(name)!;
    this.#hotBytes -= this.#bytes.get(user) ?? 0;
    this.#bytes.delete(user);
    this.#users.delete(name);
  }

  #checkOpen(): void {
    if (this.#closed) throw new StoreError("closed", "pool", "was closed", "Open another one");
  }
}

/** Opens a pool over a store. @throws StoreError `invalid-argument` */
export async function openPool<State extends UserState>(options: PoolOptions<State>): Promise<Pool<State>> {
  const { memoryBytes } = options;
  if (!(memoryBytes > 0)) {
    throw new StoreError("invalid-argument", "memoryBytes", `is ${memoryBytes}`, "Pass a number of bytes above 0");
  }
  return new Pool(options);
}

function refuseVersion({ user }: UserKey, wanted: number, found: number): StoreError {
  const remedy = "Try again in a moment, or ask without a version";
  return new StoreError("version-ahead", `user ${user}`, `is at version ${found}, and ${wanted} was asked for`, remedy);
}
