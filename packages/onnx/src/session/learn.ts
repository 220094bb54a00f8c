import type { LoraAdapter, MicroLora } from "microlora";
import { OnnxError } from "../base/errors.js";
import type { AdapterGradients, ModuleGradient } from "./adapters.js";

/** Beyond this a square is no float32, and Fisher information could not hold it. */
const LARGEST = 1e18;

/**
 * One update of every adapter along its gradients, with the optimiser, schedule, clipping and EWC of its own configuration;
 * each counts as one example for its Fisher information. Gradients that an adapter has pending join in.
 * @param learningRate a plain step of this length instead
 * @throws OnnxError `out-of-range` for a gradient that float32 cannot square; nothing has changed then
 */
export function learnFrom(
  all: ReadonlyMap<MicroLora, AdapterGradients>,
  learningRate: number | undefined,
): { readonly gradientNorm: number } {
  const squares = [...all.values()].flatMap((gradients) => [...gradients].map(([name, each]) => squaresOf(name, each)));
  for (const [adapter, gradients] of all) {
    if (!adapter.enabled) continue;
    for (const [module, gradient] of gradients) accumulate(adapter, adapter.getAdapter(module)!, gradient);
    adapter.applyUpdates(learningRate);
  }
  return { gradientNorm: Math.sqrt(squares.reduce((sum, value) => sum + value, 0)) };
}

function squaresOf(module: string, { loraA, loraB }: ModuleGradient): number {
  let squares = 0;
  for (const values of [loraA, loraB]) for (const value of values) squares += value * value;
  if (squares <= LARGEST ** 2) return squares;
  const problem = `the gradient is of length ${Math.sqrt(squares)}`;
  throw new OnnxError(
    "out-of-range",
    module,
    problem,
    "Scale the loss down, or start from an adapter that is not so far out",
  );
}

/**
 * Adds a gradient that is there as a whole, where the core takes examples: an example of zeros makes room for it and counts
 * it, and what it would have added to the pending gradient and to the running Fisher is added here.
 */
function accumulate(owner: MicroLora, lora: LoraAdapter, { loraA, loraB }: ModuleGradient): void {
  lora.accumulateGradient(new Float32Array(lora.inFeatures), new Float32Array(lora.outFeatures));
  const { ewcLambda, fisherDecay } = owner.config.learning;
  const pending = lora.learningBlock("pending")!;
  const fisher = ewcLambda === 0 ? undefined : lora.learningBlock("fisherRunning");
  const first = [0, loraA.length];
  for (const [part, values] of [loraA, loraB].entries()) {
    for (let i = 0, at = first[part]!; i < values.length; i++, at++) {
      pending[at]! += values[i]!;
      if (fisher?.length === pending.length) fisher[at]! += (1 - fisherDecay) * values[i]! ** 2;
    }
  }
}
