import type { AdapterState, MicroLora, ResolvedConfig } from "microlora";
import { NEGLIGIBLE } from "microlora/parts";
import { OnnxError } from "../base/errors.js";
import type { AdapterGradients, ModuleGradient } from "./adapters.js";

/** Beyond this a square is no float32, and Fisher information could not hold it. */
const LARGEST = 1e18;

/**
 * One update of every adapter along its gradients, with the optimiser, schedule, clipping and EWC of its own configuration;
 * each counts as one example for its Fisher information. Gradients that an adapter has pending join in.
 * @param learningRate a plain step of this length instead
 * @throws OnnxError `out-of-range` for a gradient that float32 cannot square, `unsupported-method`; MicroLoraError
 * `update-overflow`; nothing has changed then
 */
export function learnFrom(
  all: ReadonlyMap<MicroLora, AdapterGradients>,
  learningRate: number | undefined,
): { readonly gradientNorm: number } {
  const squares = [...all.values()].flatMap((gradients) => [...gradients].map(([name, each]) => squaresOf(name, each)));
  const enabled = [...all].filter(([{ enabled }]) => enabled);
  for (const [{ config }] of enabled) checkMethods(config);
  const before = enabled.flatMap(([owner, gradients]) =>
    [...gradients.keys()].map((module) => {
      const adapter = owner.getAdapter(module)!;
      return { adapter, owner, state: adapter.exportState(), gradient: gradients.get(module)! };
    }),
  );
  try {
    for (const { adapter, owner, state, gradient } of before) {
      adapter.restoreState(withExample(state, gradient, owner.config.learning));
    }
    for (const [owner] of enabled) owner.applyUpdates(learningRate);
  } catch (error) {
    for (const { adapter, state } of before) adapter.restoreState(state);
    throw error;
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
 * `productEwc` weighs A B by the squares of an example's input and of the gradient at its output. A request through a whole model has one of
 * each for every token, and the gradients of A and B are sums over the tokens of their products, from which no such squares come back.
 */
function checkMethods({ learning }: ResolvedConfig): void {
  if (learning.ewc.name !== "product" || learning.ewcLambda === 0) return;
  throw new OnnxError(
    "unsupported-method",
    "learning.ewc",
    "is productEwc, which has to see the input and the gradient of each module, and a whole model gives out neither",
    "Make the adapter with onlineEwc(), ewcPlusPlus() or rwalk(), or with ewcLambda: 0",
  );
}

/** A state that has taken note of one example, whose gradient is there as a whole. */
function withExample(
  state: AdapterState,
  { loraA, loraB }: ModuleGradient,
  { ewcLambda, fisherDecay }: ResolvedConfig["learning"],
): AdapterState {
  const length = loraA.length + loraB.length;
  const pending = state.pending?.slice() ?? new Float32Array(length);
  const fisherRunning = state.fisherRunning?.slice() ?? new Float32Array(length);
  for (const [at, values] of [[0, loraA] as const, [loraA.length, loraB] as const]) {
    for (let i = 0; i < values.length; i++) {
      const gradient = values[i]!;
      pending[at + i]! += gradient;
      const fisher = fisherDecay * fisherRunning[at + i]! + (1 - fisherDecay) * gradient ** 2;
      fisherRunning[at + i] = fisher < NEGLIGIBLE ? 0 : fisher;
    }
  }
  const counted = { step: state.step + 1, pendingUpdates: state.pendingUpdates + 1, pending };
  return { ...state, ...counted, ...(ewcLambda !== 0 && { fisherRunning }) };
}
