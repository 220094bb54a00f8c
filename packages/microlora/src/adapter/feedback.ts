import { checkRange } from "../base/check.js";
import { refusal } from "../base/errors.js";

/** Feedback as an exact gradient. */
export interface GradientFeedback {
  /** dLoss/dOutput [outFeatures]. */
  readonly gradient: Float32Array;
  /** Factor of the step in [-1, 1]; 1 by default. A negative one moves away. */
  readonly reward?: number;
  /** The loss itself in nats, if it is known: a boundary detector watches it. */
  readonly loss?: number;
}

/** What became of one feedback. Each call returns an object of its own. */
export interface LearnResult {
  /** Whether the weights learned from it now. */
  readonly applied: boolean;
  /**
   * Why they did not: `disabled`; `held-back` to check with, to be learned from later; `no-baseline`, as there is no earlier score to
   * compare this one with; null where they did.
   */
  readonly reason: "disabled" | "held-back" | "no-baseline" | null;
  /** Loss before learning, in nats; null where only a gradient is known. */
  readonly loss: number | null;
  /** Norm of the whole gradient with respect to the parameters, before the reward. */
  readonly gradientNorm: number;
  /** Whether a new task began with it, so that what was learned before is held on to. */
  readonly boundary: boolean;
  /** Whether the guard took the last updates back. */
  readonly rolledBack: boolean;
}

/** A result before anything has happened. */
export const NOTHING: LearnResult = {
  applied: false,
  reason: null,
  loss: null,
  gradientNorm: 0,
  boundary: false,
  rolledBack: false,
};

/** Keys of other kinds of feedback, which a `Learner` takes. */
const OTHERS = ["chosen", "shown", "rejected", "rating", "item", "quality"];

/**
 * The gradient of checked feedback.
 * @throws MicroLoraError `nothing-to-learn-from` without a gradient, or with another kind of feedback beside it,
 * `out-of-range`, `not-finite`
 */
export function gradientOf(feedback: GradientFeedback): Float32Array {
  const { gradient, reward } = feedback ?? {};
  if (reward !== undefined) checkRange(reward, -1, 1, "feedback.reward");
  let mixed = false;
  for (const key of OTHERS) mixed ||= (feedback as unknown as Record<string, unknown>)?.[key] !== undefined;
  if (gradient !== undefined && !mixed) return gradient;
  const remedy = "Pass dLoss/dOutput as `gradient`, or hand the feedback to a Learner";
  throw refusal("nothing-to-learn-from", "feedback", "is not one gradient", remedy);
}
