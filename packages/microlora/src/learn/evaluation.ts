import type { AdapterState, LoraAdapter } from "../adapter/lora-adapter.js";
import { checkAllFinite, checkFinite } from "../base/check.js";
import type { Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";
import type { KeptRequest } from "./example.js";
import { ratingLoss, softmaxCrossEntropy, tripletMargin } from "./losses.js";
import { backThroughScores, placeItems, type ScoreName, scoreItems } from "./scores.js";
import type { Signal } from "./signal.js";

/** What a loss needs to know beside the signal. */
export interface LossSettings {
  readonly score: ScoreName;
  readonly temperature: number;
  readonly margin: number | null;
}

/** The loss of one signal at one output, and its exact gradient there. */
export class Evaluation {
  readonly adapter: LoraAdapter;
  /** The output [outFeatures], in the runtime's memory. */
  readonly output: Float32Array;
  /** dLoss/dOutput [outFeatures], before the signal's weight. */
  readonly gradient: Float32Array;
  /** Score of what was chosen or rated; the running reference of ratings is made of these. */
  score = 0;
  readonly #settings: LossSettings;
  readonly #outputAt: Pointer;
  readonly #gradientAt: Pointer;

  /** @param output,gradient [outFeatures] each, in the runtime's memory */
  constructor(adapter: LoraAdapter, settings: LossSettings, output: Float32Array, gradient: Float32Array) {
    this.adapter = adapter;
    this.#settings = settings;
    this.output = output;
    this.gradient = gradient;
    this.#outputAt = output.byteOffset;
    this.#gradientAt = gradient.byteOffset;
  }

  /**
   * Computes output = base + gate * delta(x), the loss and the gradient.
   * @param reference of ratings
   * @returns the loss in nats; null where only a gradient is known
   * @throws MicroLoraError `update-overflow`, `not-finite`
   */
  at(request: KeptRequest, signal: Signal, reference: number): number | null {
    return this.#evaluate(request, signal, reference, this.#gradientAt);
  }

  /** The loss alone, at a fraction of the cost. @param weights in place of the adapter's own */
  lossOf(request: KeptRequest, signal: Signal, reference: number, weights?: AdapterState) {
    return this.#evaluate(request, signal, reference, null, weights);
  }

  #evaluate(
    { x, base, gate }: KeptRequest,
    signal: Signal,
    reference: number,
    gradient: Pointer | null,
    weights?: AdapterState,
  ): number | null {
    if (gate === 1) this.output.set(base);
    else this.output.fill(0);
    if (weights === undefined) this.adapter.forwardAdd(x, this.output);
    else addDeltaOf(this.adapter, weights, x, this.output);
    const { runtime, outFeatures } = this.adapter;
    if (gate !== 1) {
      const { kernels, scratch } = runtime;
      kernels.apply(this.#outputAt, this.#outputAt, outFeatures, 1 - gate);
      kernels.apply(this.#outputAt, scratch.input.place(base), outFeatures, -1);
    }
    const { loss, score } = lossAt(runtime, this.#settings, this.#outputAt, outFeatures, signal, reference, gradient);
    this.score = score;
    if (loss !== null && !Number.isFinite(loss)) {
      checkAllFinite(base, "output");
      checkFinite(loss, "loss");
    }
    return loss;
  }
}

/**
 * The loss of one signal at an output, in nats, and the score of what was chosen or rated.
 * @param y [n]; @param gradient dLoss/dy [n], written, before the signal's weight; null if it is not wanted
 */
export function lossAt(
  runtime: Runtime,
  { score, temperature, margin }: LossSettings,
  y: Pointer,
  n: number,
  signal: Signal,
  reference: number,
  gradient: Pointer | null,
): { loss: number | null; score: number } {
  if (signal.kind === "quality") return { loss: null, score: 0 };
  if (signal.kind === "gradient") {
    if (gradient !== null) runtime.f32.set(signal.items[0], gradient >>> 2);
    return { loss: signal.loss, score: 0 };
  }
  const items = placeItems(runtime, score, signal.items, n);
  const { scores, slopes } = items;
  scoreItems(runtime, score, y, n, items, scores);
  const loss =
    signal.kind === "rating"
      ? ratingLoss(scores, signal.rating, reference, temperature, slopes)
      : margin === null
        ? softmaxCrossEntropy(scores, signal.chosen, temperature, slopes)
        : tripletMargin(scores, signal.chosen, margin, slopes);
  if (gradient !== null) backThroughScores(runtime, score, y, n, items, scores, slopes, gradient);
  return { loss, score: scores[signal.kind === "rating" ? 0 : signal.chosen]! };
}

/** Adds the delta that the adapter would have with other weights. */
function addDeltaOf(adapter: LoraAdapter, weights: AdapterState, x: Float32Array, output: Float32Array): void {
  const { runtime, kernels, paramCount, rank, scaling } = adapter;
  const { scratch, f32 } = runtime;
  const parameters = scratch.output.reserve(paramCount);
  let at = parameters >>> 2;
  for (const part of [weights.loraA, weights.loraB, weights.bias]) {
    if (part === undefined) continue;
    f32.set(part, at);
    at += part.length;
  }
  const u = scratch.rows.reserve(rank);
  kernels.forwardAdd(parameters, scratch.input.place(x), u, output.byteOffset, scaling);
}
