import type { Capacity } from "../adapter/capacity.js";
import type { GroupReport } from "./statistics.js";

/** What a `Learner` has kept and decided so far. */
export interface LearnerReport {
  /** Requests that the weights learned from, replayed ones included. */
  readonly updates: number;
  /** Tasks that ended by the boundary detector. */
  readonly boundaries: number;
  /** Updates after which the delta had to be shrunk to `maxDelta`. */
  readonly limited: number;
  /** Updates that `undo` can take back. */
  readonly undoable: number;
  /** Requests that wait for feedback, and their bytes. */
  readonly pending: { readonly count: number; readonly bytes: number };
  /** Examples kept for replay, and their bytes; null without replay. */
  readonly replay: { readonly count: number; readonly bytes: number } | null;
  /** Examples held back, and how often updates were kept and taken back; null without a guard. */
  readonly guard: { readonly held: number; readonly promoted: number; readonly rejected: number } | null;
  /** How much of each module's adapter is in use. */
  readonly capacity: Readonly<Record<string, Capacity>>;
  /** Counts by module. */
  readonly modules: Readonly<Record<string, GroupReport>>;
  /** Counts by session. */
  readonly sessions: Readonly<Record<string, GroupReport>>;
}
