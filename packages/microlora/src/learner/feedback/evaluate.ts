import { checkAllFinite, checkFinite } from "../../base/check.js";
import type { Pointer } from "../../kernels/contract.js";
import type { Runtime } from "../../kernels/runtime.js";
import { likingLoss, passedOver, ratingLoss, softmaxCrossEntropy, tripletMargin } from "./losses.js";
import { backThroughScores, placeItems, type ScoreName, scoreItems } from "./scores.js";
import type { Signal } from "./signal.js";

/** What a loss needs beside the signal. */
export interface LossSettings {
  readonly score: ScoreName;
  readonly temperature: number;
  readonly margin: number | null;
}

/** What a caller knows beside outputs and items. */
export interface Besides {
  /** Added to the scores of the items, one each. */
  readonly offsets?: Float64Array;
  /** Another output [n], whose loss is wanted too, without the offsets. */
  readonly instead?: Pointer;
}

/** A loss, and what it was made of. */
export interface Evaluated {
  /** In nats; null where only a gradient is known. */
  readonly loss: number | null;
  /** Score of the item that was chosen or rated; 0 where none was scored. */
  readonly score: number;
  /** dLoss/dScore of each item, good until the next evaluation; null where nothing was scored. */
  readonly slopes: Float64Array | null;
  /** Loss at the other output; null where none was asked for. */
  readonly instead: number | null;
}

const UNSCORED = { score: 0, slopes: null, instead: null } as const;

/**
 * The loss of one signal at an output, and its exact gradient there. Each kind of feedback meets this one function.
 * @param y the output [n]; @param reference of ratings
 * @param gradient dLoss/dy [n], written, before the signal's weight; null if it is not wanted
 * @throws MicroLoraError `not-finite`, `out-of-range`
 */
export function evaluate(
  runtime: Runtime,
  settings: LossSettings,
  y: Pointer,
  n: number,
  signal: Signal,
  reference: number,
  gradient: Pointer | null,
  { offsets, instead }: Besides = NOTHING_BESIDES,
): Evaluated {
  if (signal.kind === "quality") return { loss: null, ...UNSCORED };
  if (signal.kind === "gradient") {
    if (gradient !== null) runtime.f32.set(signal.items[0], gradient >>> 2);
    return { loss: signal.loss, ...UNSCORED };
  }
  const items = placeItems(runtime, settings.score, signal.items, n);
  const { scores, sums, slopes } = items;
  const score = signal.kind === "choice" ? signal.chosen : 0;
  let other: number | null = null;
  if (instead !== undefined) {
    scoreItems(runtime, settings.score, instead, n, items, scores);
    other = lossOf(settings, signal, reference, scores, slopes);
  }
  scoreItems(runtime, settings.score, y, n, items, scores);
  if (offsets !== undefined) for (let j = 0; j < sums.length; j++) sums[j] = scores[j]! + offsets[j]!;
  const loss = lossOf(settings, signal, reference, offsets === undefined ? scores : sums, slopes);
  if (!Number.isFinite(loss)) {
    checkAllFinite(runtime.view(y, n), "output");
    checkFinite(loss, "loss");
  }
  if (gradient !== null) backThroughScores(runtime, settings.score, y, n, items, scores, slopes, gradient);
  return { loss, score: scores[score]!, slopes, instead: other };
}

const NOTHING_BESIDES: Besides = {};

/** The loss of scores, and its slopes. */
function lossOf(
  { temperature, margin }: LossSettings,
  signal: Exclude<Signal, { kind: "gradient" | "quality" }>,
  reference: number,
  scores: Float64Array,
  slopes: Float64Array,
): number {
  if (signal.kind === "rating") return ratingLoss(scores, signal.rating, reference, temperature, slopes);
  if (signal.kind === "liking") return likingLoss(scores, signal.liking, temperature, slopes);
  if (signal.kind === "nothing") return passedOver(scores, temperature, slopes);
  if (margin !== null) return tripletMargin(scores, signal.chosen, margin, slopes);
  return softmaxCrossEntropy(scores, signal.chosen, temperature, slopes);
}
