import type { MicroLora } from "microlora";
import { learnFromGradients } from "microlora/parts";
import type { AdapterGradients } from "../run/adapters.js";

/**
 * Updates every adapter along its gradients, with the optimiser, schedule, clipping and EWC of its own configuration. Fisher
 * information takes up the mean of the examples' squared gradients. Gradients that an adapter has pending join in.
 * @param learningRate a plain step of this length instead
 * @throws MicroLoraError `update-overflow`, `not-finite`, `memory-full`, `invalid-config` for `productEwc`, which has to see the input and
 * the gradient of each module; nothing has changed then
 */
export function learnFrom(
  all: ReadonlyMap<MicroLora, AdapterGradients>,
  learningRate: number | undefined,
): { readonly gradientNorm: number } {
  return learnFromGradients(all, learningRate);
}
