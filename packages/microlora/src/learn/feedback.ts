import { checkRange } from "../base/check.js";
import { MicroLoraError } from "../base/errors.js";

/** What a `MicroLora` learns from: an exact gradient. A `Learner` makes it of any other kind of feedback. */
export interface Feedback {
  /** dLoss/dOutput [outFeatures] of the module. */
  readonly gradient: Float32Array;
  /** Factor of the step in [-1, 1], 1 by default; a negative one moves away. */
  readonly reward?: number;
  /** The module that the gradient belongs to; all of them by default. */
  readonly module?: string;
  // The other kinds, for which there is a `Learner`, do not mix with it.
  readonly chosen?: never;
  readonly rating?: never;
  readonly quality?: never;
}

/** What became of one request; one object, written anew by each call. */
export interface LearnResult {
  applied: boolean;
  /** Why nothing was applied. */
  reason: "disabled" | null;
  /** Euclidean norm of the whole gradient with respect to the parameters, before the reward. */
  gradientNorm: number;
}

/**
 * Checks feedback and returns its gradient.
 * @throws MicroLoraError `nothing-to-learn-from` without a gradient, or with another kind of feedback beside it,
 * `out-of-range`, `not-finite`
 */
export function gradientOf(feedback: Feedback): Float32Array {
  const { gradient, reward, chosen, rating, quality } = feedback ?? {};
  if (reward !== undefined) checkRange(reward, -1, 1, "feedback.reward");
  if (gradient !== undefined && (chosen ?? rating ?? quality) === undefined) return gradient;
  throw new MicroLoraError(
    "nothing-to-learn-from",
    "feedback",
    "is not one gradient",
    "Pass dLoss/dOutput as `gradient`, or hand the feedback to a Learner",
  );
}
