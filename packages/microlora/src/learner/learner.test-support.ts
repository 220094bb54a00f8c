import { MicroLora } from "../adapter/micro-lora.js";
import { floats } from "../base/samples.test-support.js";
import type { LearnerConfig } from "./config.js";
import type { Feedback } from "./feedback/signal.js";
import { Learner, type Request } from "./learner.js";

export const N = 8;
export const items = Array.from({ length: 6 }, (_, j) => floats(N, 40 + j));
export const x = floats(N, 1);
export const base = floats(N, 2);

export async function make(config: LearnerConfig = {}, learning: object = {}): Promise<Learner> {
  const lora = await MicroLora.create({
    hiddenSize: N,
    rank: 2,
    bias: true,
    targetModules: ["m"],
    learning: { learningRate: 0.05, ewcLambda: 0, ...learning },
  });
  return new Learner(lora, config);
}

/** Serves an input: the base output and the delta. */
export function serve(learner: Learner, input: Float32Array, from = base): Request & { output: Float32Array } {
  const output = from.slice();
  learner.lora.getAdapter("m")!.forwardAdd(input, output);
  return { x: input, output };
}

export function cosine(a: Float32Array, b: Float32Array): number {
  const dot = a.reduce((sum, v, i) => sum + v * b[i]!, 0);
  return dot / (Math.hypot(...a) * Math.hypot(...b));
}

export const scoreOf = (learner: Learner, item: Float32Array, input = x) => cosine(serve(learner, input).output, item);
export const click = (chosen = 3): Feedback => ({ chosen: items[chosen]!, shown: items });
