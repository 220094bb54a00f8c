import type { Knobs } from "./knobs.js";
import type { SettingName } from "./settings.js";

export const SPLITS = ["validation", "reported"] as const;
/** Users, seeds and groups to tune on, and others to report. */
export type Split = (typeof SPLITS)[number];

type Later<T> = T | Promise<T>;

/** One seeded user and one learner that knows nothing of them yet. */
export interface Trial extends Disposable {
  /** Number of tasks that come one after the other. */
  readonly tasks: number;
  /** Learns a task, request by request. */
  learn(task: number): Later<void>;
  /** Learns the same requests of all tasks, shuffled. */
  learnAll(): Later<void>;
  endTask(): Later<void>;
  /** Quality on the test requests of each task. */
  measure(): Later<number[]>;
  /** Quality on requests that have nothing to do with what is learned, with their own true answers. */
  measureUnrelated(): Later<number>;
  /** Goes on after the last task, and tells figures of this problem alone. */
  goOn?(): Readonly<Record<string, number>>;
  /** Everything that is kept for this user, as saved. */
  bytes(): Later<number>;
  /** Mean time of a learning request. */
  microseconds(): number;
}

/** A problem that was loaded: real data, seeded users. */
export interface Problem {
  readonly quality: "MRR" | "accuracy";
  seeds(split: Split): readonly number[];
  /** null where a setting does not apply, or what it needs is not here. */
  start(setting: SettingName, knobs: Knobs, seed: number, split: Split): Promise<Trial | null>;
}

export function seedsFrom(first: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}
