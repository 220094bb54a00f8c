import type { DocumentId, EmbeddingIndex } from "./embedding-index.js";
import type { PersonalFeedback } from "./learn/personal-feedback.js";
import type { LearnerResult } from "./updates.js";

/** One click: what was asked, what was shown, and which of it was chosen. */
export interface Click {
  /** Embedding of the query [dimensions]. */
  readonly query: Float32Array;
  /** Id or embedding of what was chosen; one of `shown`. */
  readonly chosen: DocumentId | Float32Array;
  /** Ids or embeddings of what was shown, the chosen one among them. */
  readonly shown: readonly (DocumentId | Float32Array)[];
  /** Where ids are to be looked up. */
  readonly index?: EmbeddingIndex;
}

export interface ClickResult {
  applied: boolean;
  /** Why the slow weights did not learn from it now, as in `LearnerResult`. */
  reason: LearnerResult["reason"];
  /** Loss before learning from it, in nats; 0 where only a gradient is known. */
  loss: number;
  /** Norm of dLoss/dy. */
  gradientNorm: number;
  /** A new task has begun with it. */
  boundary: boolean;
  /** The guard took the last updates of the slow weights back. */
  rolledBack: boolean;
}

/** @internal Before anything has become of it. */
export const NOTHING: ClickResult = {
  applied: false,
  reason: null,
  loss: 0,
  gradientNorm: 0,
  boundary: false,
  rolledBack: false,
};

/** @internal Whether feedback is nothing but a click. */
export function isClick(feedback: Click | PersonalFeedback<DocumentId>): feedback is Click {
  const { query, chosen, shown, index } = feedback as Partial<Click>;
  const keys = Object.values(feedback).filter((value) => value !== undefined && value !== index).length;
  return query !== undefined && chosen !== undefined && Array.isArray(shown) && keys === 3;
}
