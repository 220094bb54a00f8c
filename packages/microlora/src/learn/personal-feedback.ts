import { MicroLoraError } from "../base/errors.js";
import type { Runtime } from "../kernels/runtime.js";
import { type Candidates, vectorOf } from "./candidates.js";
import type { AnyFeedback, Exclusive } from "./signal.js";

type Item<Id> = Id | Float32Array;

/** The query of now, or the id of one that was kept. */
type OfRequest =
  | { /** Embedding of the query [dimensions]. */ readonly query: Float32Array; readonly request?: never }
  | { /** Id that `keep` or `explore` was given. */ readonly request: string; readonly query?: never };

interface Choice<Id> {
  /** Id or embedding of what was chosen. */
  readonly chosen: Item<Id>;
  /** Everything that was shown, the chosen one among it; or, instead, what was passed over. */
  readonly shown?: readonly Item<Id>[];
  readonly rejected?: readonly Item<Id>[];
  /** Weight in [-1, 1]. */
  readonly reward?: number;
  readonly index?: Candidates<Id>["index"];
}

interface Rating<Id> {
  /** In [-1, 1]. */
  readonly rating: number;
  readonly item: Item<Id>;
  readonly index?: Candidates<Id>["index"];
}

interface Gradient {
  /** dLoss/dy at the transformed query of unit length [dimensions]. */
  readonly gradient: Float32Array;
  readonly reward?: number;
  readonly loss?: number;
}

interface Quality {
  readonly quality: number;
}

type Kinds<Id> = Choice<Id> | Rating<Id> | Gradient | Quality;

/** Feedback of one kind for one query; documents by id, where `index` finds them, or by vector. */
export type PersonalFeedback<Id extends string | number = string | number> = OfRequest &
  (
    | Exclusive<Choice<Id>, Kinds<Id>>
    | Exclusive<Rating<Id>, Kinds<Id>>
    | Exclusive<Gradient, Kinds<Id>>
    | Exclusive<Quality, Kinds<Id>>
  );

/**
 * The same feedback with vectors in place of ids, unchecked otherwise.
 * @throws MicroLoraError `mixed-feedback` unless it names one query; `unknown-document`, `invalid-config`
 */
export function withVectors<Id extends string | number>(
  feedback: PersonalFeedback<Id>,
  runtime: Runtime,
  dimensions: number,
): AnyFeedback {
  const { query, request, index, ...kind } = feedback as unknown as Partial<Choice<Id> & Rating<Id>> & {
    readonly query: unknown;
    readonly request: unknown;
  };
  if ((query === undefined) === (request === undefined)) {
    throw new MicroLoraError("mixed-feedback", "feedback", "needs `query` or `request`", "Pass one of the two");
  }
  const one = (item: Item<Id>) => vectorOf(item, index, runtime, dimensions);
  return {
    ...kind,
    ...(kind.chosen !== undefined && { chosen: one(kind.chosen) }),
    ...(kind.item !== undefined && { item: one(kind.item) }),
    ...(Array.isArray(kind.shown) && { shown: kind.shown.map(one) }),
    ...(Array.isArray(kind.rejected) && { rejected: kind.rejected.map(one) }),
  } as AnyFeedback;
}
