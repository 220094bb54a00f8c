import type { Method } from "../adapter/methods/method.js";
import { checkRange, refuseConfig, withDefaults } from "../base/check.js";
import type { Boundary } from "./boundaries.js";
import type { ScoreName } from "./feedback/scores.js";
import { GUARD_DEFAULTS, type GuardConfig } from "./guard.js";
import { PENDING_DEFAULTS, type PendingLimits } from "./pending-requests.js";
import type { ReplayConfig } from "./replay.js";

/** Options of a `Learner`. */
export interface LearnerConfig {
  /** How outputs and candidates are compared; `cosine` by default. */
  readonly score?: ScoreName;
  /** Temperature of choices and ratings; 0.1 by default, which suits cosines. */
  readonly temperature?: number;
  /** Learns choices by the triplet loss with this margin instead of softmax cross-entropy. */
  readonly margin?: number | null;
  /** Scale of the noise of `explore`; 0.1 by default. */
  readonly exploration?: number;
  /** Limits of the requests that wait for feedback. */
  readonly pending?: Partial<PendingLimits>;
  /** Mixes what was learned before into each update; off by default. */
  readonly replay?: Partial<ReplayConfig> | null;
  /** Consolidates where a new task begins: `pageHinkley()`, `adwin()`, `everyRequests(n)`; by hand only, by default. */
  readonly boundary?: Boundary | null;
  /** Takes updates back that make held-back feedback worse; off by default. */
  readonly guard?: Partial<GuardConfig> | null;
  /** Hard limit on the norm of each module's delta, |scaling * A B| and bias together; none by default. */
  readonly maxDelta?: number | null;
  /** Updates that `undo` can take back, each at the price of a copy of the adapters; 0 by default. */
  readonly undo?: number;
  /** Of exploration and replay; 0 by default. */
  readonly seed?: number;
}

/** A checked configuration with its defaults; what a checkpoint holds. */
export interface ResolvedLearner {
  /** How outputs and candidates are compared. */
  readonly score: ScoreName;
  /** Temperature of choices and ratings. */
  readonly temperature: number;
  /** Margin of the triplet loss; null for softmax cross-entropy. */
  readonly margin: number | null;
  /** Scale of the noise of `explore`. */
  readonly exploration: number;
  /** Limits of the requests that wait for feedback. */
  readonly pending: PendingLimits;
  /** How earlier examples are mixed into updates; null for not at all. */
  readonly replay: ReplayConfig | null;
  /** Where a new task begins; null for by hand only. */
  readonly boundary: Method | null;
  /** How updates are checked; null for not at all. */
  readonly guard: GuardConfig | null;
  /** Limit on the norm of each module's delta; null for none. */
  readonly maxDelta: number | null;
  /** Updates that `undo` can take back. */
  readonly undo: number;
  /** Seed of exploration and replay. */
  readonly seed: number;
}

/** The settings of what lies around updates. */
export type SafeguardsConfig = Pick<ResolvedLearner, "replay" | "boundary" | "guard" | "maxDelta" | "undo" | "seed">;

const REPLAY_DEFAULTS: ReplayConfig = { bytes: 256 * 1024, perUpdate: 1 };

/** Every option of a `Learner`. */
export const LEARNER_DEFAULTS = {
  score: "cosine",
  temperature: 0.1,
  margin: null,
  exploration: 0.1,
  pending: PENDING_DEFAULTS,
  replay: null,
  boundary: null,
  guard: null,
  maxDelta: null,
  undo: 0,
  seed: 0,
} as const;

/** Checks a configuration and fills in the defaults. @throws MicroLoraError `invalid-config`, `out-of-range`, `not-finite` */
export function resolveLearner(config: LearnerConfig): ResolvedLearner {
  const options = withDefaults(LEARNER_DEFAULTS, config);
  const { pending, replay, boundary, guard } = options;
  return checkLearner({
    ...options,
    pending: withDefaults(PENDING_DEFAULTS, pending, "pending"),
    replay: replay === null ? null : withDefaults(REPLAY_DEFAULTS, replay, "replay"),
    boundary: boundary && { name: boundary.name, settings: boundary.settings },
    guard: guard === null ? null : withDefaults(GUARD_DEFAULTS, guard, "guard"),
  });
}

/** Refuses settings, of a caller or of a file, that no `Learner` could have; those of its parts are theirs to refuse. */
export function checkLearner(config: ResolvedLearner): ResolvedLearner {
  if (config.score !== "dot" && config.score !== "cosine")
    refuseConfig("score", config.score, 'Pass "dot" or "cosine"');
  checkRange(config.temperature, 1e-4, 1e4, "temperature");
  if (config.margin !== null) checkRange(config.margin, 0, 1e6, "margin");
  checkRange(config.exploration, 1e-6, 1e6, "exploration");
  if (config.maxDelta !== null) checkRange(config.maxDelta, 1e-12, 1e30, "maxDelta");
  checkRange(config.undo, 0, 1024, "undo");
  checkRange(config.seed, 0, Number.MAX_SAFE_INTEGER, "seed");
  if (!Number.isInteger(config.undo)) refuseConfig("undo", config.undo, "Pass an integer");
  return config;
}

/** The code of a boundary that a file names. @throws MicroLoraError `invalid-config` where it was not handed in */
export function boundaryOf(named: Method | null, methods: readonly Method[]): Boundary | null {
  if (named === null) return null;
  const found = (methods as readonly Partial<Boundary>[]).find((m) => m.name === named.name && m.kind === "boundary");
  return (
    found?.withSettings?.(named.settings) ??
    refuseConfig("boundary", named.name, "Pass its code, or METHODS, as `methods`")
  );
}
