import {
  type DocumentId,
  decodePrepared,
  encodePrepared,
  MicroLoraError,
  type PersonalFeedback,
  Personalizer,
  type PersonalizerConfig,
  type Runtime,
} from "microlora";
import type { Step, UserState } from "../pool/state.js";
import type { TurnEvent } from "../pool/turn.js";

/** What changes a person's state; the log holds a payload of one of these kinds in each event. */
export const PERSONAL_KINDS = ["learn", "consolidate", "state"] as const;
/** One of `PERSONAL_KINDS`. */
export type PersonalKind = (typeof PERSONAL_KINDS)[number];

/** The version of the payloads, which each event names. */
export const PERSONAL_VERSION = "1";

/** A change on its way into the log: `turn.commit({ id, source, answer, ...change })`. */
export type PersonalChange = Pick<TurnEvent, "payload"> & { readonly kind: PersonalKind };

/** An allowance for the JavaScript objects of a `Personalizer`, beside its memory in the runtime. */
const OBJECT_BYTES = 4096;

const NOTHING = new Uint8Array(0);

/** Options of the `Personalizer` of each user, who all live in one runtime. */
export type PersonalUserConfig = PersonalizerConfig & { readonly runtime: Runtime };

/** A `Personalizer` as the state of a pool: it is folded from prepared feedback. */
export class PersonalUser implements UserState {
  readonly #config: PersonalUserConfig;
  #personalizer: Personalizer;
  #measured = { clicks: -1, bytes: 0 };

  /** @throws MicroLoraError as `Personalizer.fromBytes`, `memory-full` */
  constructor(config: PersonalUserConfig, snapshot: Uint8Array | null) {
    this.#config = config;
    this.#personalizer = snapshot === null ? Personalizer.createSync(config) : this.#restored(snapshot);
  }

  /** Reads only: what it learns outside of `commit` is lost, and replay knows nothing of it. */
  get personalizer(): Personalizer {
    return this.#personalizer;
  }

  /** Bytes that the state takes in memory. */
  get byteLength(): number {
    const { clicks } = this.#personalizer;
    if (this.#measured.clicks !== clicks) {
      this.#measured = { clicks, bytes: OBJECT_BYTES + Personalizer.memoryBytes(this.#config, clicks) };
    }
    return this.#measured.bytes;
  }

  /** Works out what feedback will change. @throws MicroLoraError as `Personalizer.prepare` */
  prepare<Id extends DocumentId>(feedback: PersonalFeedback<Id>): PersonalChange & { readonly loss: number | null } {
    const prepared = this.#personalizer.prepare(feedback);
    return { kind: "learn", payload: encodePrepared(prepared), loss: prepared.loss };
  }

  /** Ends a task for the slow weights. */
  consolidate(): PersonalChange {
    return { kind: "consolidate", payload: NOTHING };
  }

  /** Puts a state in the place of this one: of an earlier time, of another user, of a file. */
  replace(bytes: Uint8Array): PersonalChange {
    return { kind: "state", payload: bytes };
  }

  /** Applies one event of the log. @throws MicroLoraError as `Personalizer.learn`; the state has not changed then */
  apply({ kind, payload }: Step): void {
    if (!Object.hasOwn(APPLY, kind)) {
      throw new MicroLoraError("unsupported-version", "event", `has the kind ${kind}`, "Use the version that wrote it");
    }
    APPLY[kind as PersonalKind](this, payload);
  }

  /** @internal */
  restore(bytes: Uint8Array): void {
    const restored = this.#restored(bytes);
    this.#personalizer.close();
    this.#personalizer = restored;
    this.#measured = { clicks: -1, bytes: 0 };
  }

  /** The state as a snapshot. */
  toBytes(): Uint8Array {
    return this.#personalizer.toBytes();
  }

  /** Frees the memory. */
  close(): void {
    this.#personalizer.close();
  }

  #restored(bytes: Uint8Array): Personalizer {
    const { runtime, embedder } = this.#config;
    const baseModel = this.#config.baseModel ?? embedder?.fingerprint;
    const restored = Personalizer.fromBytesSync(bytes, { runtime, ...(baseModel !== undefined && { baseModel }) });
    const wanted = this.#config.dimensions ?? embedder?.dimensions;
    if (restored.config.dimensions === wanted) return restored;
    const problem = `is ${restored.config.dimensions} wide, where ${wanted} are wanted`;
    restored.close();
    throw new MicroLoraError("wrong-base", "state", problem, "Pass a state of the same embedder");
  }
}

const APPLY: { readonly [K in PersonalKind]: (user: PersonalUser, payload: Uint8Array) => void } = {
  learn: (user, payload) => void user.personalizer.apply(decodePrepared(payload)),
  consolidate: (user) => user.personalizer.consolidate(),
  state: (user, payload) => user.restore(payload),
};

/**
 * The options of a pool of `Personalizer`s: `openPool({ store, memoryBytes, ...personalUsers({ runtime, embedder }) })`.
 * @param config of new users; `runtime` must have room for `memoryBytes`, and should run the `simd` kernels, which give the same bits on
 * every engine and CPU
 */
export function personalUsers(config: PersonalUserConfig): {
  readonly create: (snapshot: Uint8Array | null) => PersonalUser;
  readonly kernels: string;
  readonly version: string;
} {
  return {
    create: (snapshot) => new PersonalUser(config, snapshot),
    kernels: config.runtime.kernels.name,
    version: PERSONAL_VERSION,
  };
}
