import { MicroLoraError } from "microlora";
import { StoreError } from "../base/errors.js";
import type { UserKey } from "../contract/keys.js";
import type { LoadedUser, Store, StoredEvent } from "../contract/store.js";
import type { CreateState, UserState } from "./state.js";

export interface FoldOptions<State extends UserState> {
  readonly store: Store;
  readonly create: CreateState<State>;
  readonly kernels: string;
  /** Frees memory that other users hold. @returns false if there is none to free */
  makeRoom(): boolean;
}

/** A state, and what it was made from. */
export interface Folded<State extends UserState> {
  /** The user's state. */
  readonly state: State;
  /** The number of events that the state has seen. */
  readonly seq: number;
  /** The seq of the snapshot that it came from. */
  readonly snapshotSeq: number;
  /** The events that were replayed. */
  readonly events: readonly StoredEvent[];
}

/**
 * A user's state, folded from the newest snapshot that can be read and the events after it.
 * @param at the state after this event; by default, after the last
 * @throws StoreError as `Store.load`, `kernels-differ`, `replay-refused`, `memory-full`
 */
export async function foldUser<State extends UserState>(
  key: UserKey,
  options: FoldOptions<State>,
  at?: number,
): Promise<Folded<State>> {
  let loaded = await options.store.load(key, { ...(at !== undefined && { at }) });
  for (;;) {
    const state = createState(key, loaded, options);
    if (state !== null) return replayed(key, state, loaded, options);
    const snapshotBefore = loaded.snapshot!.seq;
    loaded = await options.store.load(key, { at: loaded.seq, snapshotBefore });
  }
}

/** The state of the snapshot; null if its bytes are refused, and an older one may do. */
function createState<State extends UserState>(
  key: UserKey,
  { snapshot }: LoadedUser,
  options: FoldOptions<State>,
): State | null {
  try {
    return withRoom(key, options, () => options.create(snapshot?.bytes ?? null));
  } catch (error) {
    const isRefused = error instanceof MicroLoraError && error.code !== "memory-full";
    if (snapshot === null || !isRefused) throw error;
    return null;
  }
}

function replayed<State extends UserState>(
  key: UserKey,
  state: State,
  { seq, start, snapshot, events }: LoadedUser,
  options: FoldOptions<State>,
): Folded<State> {
  try {
    for (const event of events) {
      if (event.kernels !== options.kernels) throw refuseKernels(key, event, options.kernels);
      withRoom(key, options, () => replay(key, state, event));
    }
  } catch (error) {
    state.close();
    throw error;
  }
  return { state, seq, snapshotSeq: snapshot?.seq ?? start, events };
}

function replay(key: UserKey, state: UserState, event: StoredEvent): void {
  try {
    state.apply(event);
  } catch (error) {
    if (isMemoryFull(error)) throw error;
    const remedy = "Use the version that learned it, or roll the user back";
    throw new StoreError("replay-refused", `event ${event.seq} of ${key.user}`, String(error), remedy, {
      cause: error,
    });
  }
}

/** Runs something that takes memory, and again each time that room could be made. @throws StoreError `memory-full` */
export function withRoom<Value>(
  key: UserKey,
  { makeRoom }: Pick<FoldOptions<never>, "makeRoom">,
  run: () => Value,
): Value {
  for (;;) {
    try {
      return run();
    } catch (error) {
      if (!isMemoryFull(error)) throw error;
      if (makeRoom()) continue;
      const remedy = "Try again in a moment, or give the runtime more memory";
      throw new StoreError("memory-full", `user ${key.user}`, "all users in memory are in use", remedy, {
        cause: error,
      });
    }
  }
}

export function isMemoryFull(error: unknown): boolean {
  return error instanceof MicroLoraError && error.code === "memory-full";
}

function refuseKernels({ user }: UserKey, { seq, kernels }: StoredEvent, own: string): StoreError {
  const remedy = `Run with \`kernels: "${kernels}"\`; other kernels give other bits`;
  return new StoreError(
    "kernels-differ",
    `event ${seq} of ${user}`,
    `was learned with ${kernels}, and ${own} runs here`,
    remedy,
  );
}
