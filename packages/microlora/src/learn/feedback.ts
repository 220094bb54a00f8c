import { checkRange } from "../base/check.js";
import { MicroLoraError } from "../base/errors.js";

/** What came back for one request. */
export interface Feedback {
  /** dLoss/dOutput [outFeatures] of the module; what there is to learn from. */
  readonly gradient?: Float32Array;
  /** Factor of the step in [-1, 1], 1 by default; a negative one moves away. */
  readonly reward?: number;
  /** How good the answer was, in [0, 1]; told, never a factor of the step, and nothing to learn from by itself. */
  readonly quality?: number;
  /** The module that the gradient belongs to; all of them by default. */
  readonly module?: string;
  /** How long the request took. */
  readonly latencyMicroseconds?: number;
  readonly sessionId?: string;
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
 * @throws MicroLoraError `nothing-to-learn-from` without a gradient, `out-of-range`, `not-finite`
 */
export function gradientOf(feedback: Feedback): Float32Array {
  if (feedback.reward !== undefined) checkRange(feedback.reward, -1, 1, "feedback.reward");
  if (feedback.quality !== undefined) checkRange(feedback.quality, 0, 1, "feedback.quality");
  if (feedback.latencyMicroseconds !== undefined) {
    checkRange(feedback.latencyMicroseconds, 0, Number.MAX_VALUE, "feedback.latencyMicroseconds");
  }
  if (feedback.gradient === undefined) {
    throw new MicroLoraError(
      "nothing-to-learn-from",
      "feedback",
      "has no gradient",
      "Pass dLoss/dOutput as `gradient`; a quality alone says nothing about the direction",
    );
  }
  return feedback.gradient;
}
