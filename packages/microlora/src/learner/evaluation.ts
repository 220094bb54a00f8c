import type { AdapterState, LoraAdapter } from "../adapter/lora-adapter.js";
import type { Pointer } from "../kernels/contract.js";
import { perWidth } from "../kernels/per-width.js";
import type { Runtime } from "../kernels/runtime.js";
import type { Example, KeptRequest } from "./example.js";
import { type Evaluated, evaluate, type LossSettings } from "./feedback/evaluate.js";

/** Vectors of one evaluation at a time, shared by every learner of one width in a runtime. */
export interface EvaluationRoom {
  /** An output without the adapter's share [outFeatures]. */
  readonly base: Float32Array;
  /** [outFeatures] */
  readonly output: Float32Array;
  /** dLoss/dOutput [outFeatures], before the signal's weight. */
  readonly gradient: Float32Array;
  readonly outputAt: Pointer;
  readonly gradientAt: Pointer;
}

/** The room of a width. @throws MicroLoraError `memory-full` */
export const evaluationRoom = perWidth((runtime: Runtime, width: number): EvaluationRoom => {
  const at = runtime.allocate(3 * width);
  const part = (i: number) => runtime.view(at + 4 * i * width, width);
  return {
    base: part(0),
    output: part(1),
    gradient: part(2),
    outputAt: at + 4 * width,
    gradientAt: at + 8 * width,
  };
});

/** Makes room for the evaluation of any example with so many items. @throws MicroLoraError `memory-full` */
export function reserveEvaluation(adapter: LoraAdapter, items: number): void {
  const { runtime, paramCount, inFeatures, outFeatures } = adapter;
  runtime.scratch.output.reserve(Math.max(paramCount, items * outFeatures));
  runtime.scratch.input.reserve(Math.max(inFeatures, outFeatures));
}

/**
 * The loss of an example under the weights of now, and its gradient in the room of its width.
 * @param reference of ratings
 * @throws MicroLoraError `update-overflow`, `not-finite`, `out-of-range`
 */
export function evaluateExample(
  adapter: LoraAdapter,
  settings: LossSettings,
  example: Example,
  reference: number,
): Evaluated {
  const { runtime, outFeatures } = adapter;
  const { outputAt, gradientAt } = forward(adapter, example, null);
  return evaluate(runtime, settings, outputAt, outFeatures, example.signal, reference, gradientAt);
}

/** The loss alone, at a fraction of the cost. @param weights in place of the adapter's own */
export function lossOfExample(
  adapter: LoraAdapter,
  settings: LossSettings,
  example: Example,
  reference: number,
  weights: AdapterState | null,
): number | null {
  const { runtime, outFeatures } = adapter;
  const { outputAt } = forward(adapter, example, weights);
  return evaluate(runtime, settings, outputAt, outFeatures, example.signal, reference, null).loss;
}

/** output = base + gate * delta(x), in the room of its width. */
function forward(adapter: LoraAdapter, { x, base, gate }: KeptRequest, weights: AdapterState | null): EvaluationRoom {
  const { runtime, outFeatures } = adapter;
  const room = evaluationRoom(runtime, outFeatures);
  const { output, outputAt } = room;
  if (gate === 1) output.set(base);
  else output.fill(0);
  if (weights === null) adapter.forwardAdd(x, output);
  else addDeltaOf(adapter, weights, x, outputAt);
  if (gate === 1) return room;
  const { kernels, scratch } = runtime;
  kernels.apply(outputAt, outputAt, outFeatures, 1 - gate);
  kernels.apply(outputAt, scratch.input.place(base), outFeatures, -1);
  return room;
}

/** Adds the delta that the adapter would have with other weights. */
function addDeltaOf(adapter: LoraAdapter, weights: AdapterState, x: Float32Array, output: Pointer): void {
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
  kernels.forwardAdd(parameters, scratch.input.place(x), u, output, scaling);
}
