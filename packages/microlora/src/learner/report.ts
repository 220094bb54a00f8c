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
  readonly pending: { readonly count: number; readonly bytes: number };
  readonly replay: { readonly count: number; readonly bytes: number } | null;
  readonly guard: { readonly held: number; readonly promoted: number; readonly rejected: number } | null;
  /** How much of each module's adapter is in use. */
  readonly capacity: Readonly<Record<string, Capacity>>;
  readonly modules: Readonly<Record<string, GroupReport>>;
  readonly sessions: Readonly<Record<string, GroupReport>>;
}
