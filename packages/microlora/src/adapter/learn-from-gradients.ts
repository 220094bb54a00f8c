import type { MicroLora } from "./micro-lora.js";
import type { WholeGradient } from "./whole-gradient.js";

/** Whole gradients of some modules of each of several adapters. */
export type GradientsOf = ReadonlyMap<MicroLora, ReadonlyMap<string, WholeGradient>>;

/**
 * One update of every adapter along its gradients, with the optimiser, schedule, clipping and EWC of its own configuration, or of none.
 * Gradients that an adapter has pending join in; one that is disabled stays as it is.
 * @param learningRate a plain step of this length instead
 * @returns the length of all gradients together
 * @throws MicroLoraError as `LoraAdapter.accumulate` and `MicroLora.applyUpdates`; nothing has changed then
 */
export function learnFromGradients(all: GradientsOf, learningRate?: number): { readonly gradientNorm: number } {
  const enabled = [...all.keys()].filter((owner) => owner.enabled);
  together(enabled, () => {
    accumulate(all, enabled);
    for (const owner of enabled) owner.allowUpdates(learningRate);
    for (const owner of enabled) owner.applyUpdates(learningRate);
  });
  return { gradientNorm: normOf(all) };
}

/**
 * Makes room for `learnFromGradients` of the same gradients, which cannot be refused then.
 * @throws MicroLoraError as `learnFromGradients`; nothing has changed in any case
 */
export function allowGradients(all: GradientsOf): { readonly gradientNorm: number } {
  const enabled = [...all.keys()].filter((owner) => owner.enabled);
  const done = new Error("allowed");
  try {
    together(enabled, () => {
      accumulate(all, enabled);
      for (const owner of enabled) owner.allowUpdates();
      throw done;
    });
  } catch (error) {
    if (error !== done) throw error;
  }
  return { gradientNorm: normOf(all) };
}

function accumulate(all: GradientsOf, owners: readonly MicroLora[]): void {
  for (const owner of owners) {
    for (const [module, gradient] of all.get(owner)!) owner.adapterOf(module).accumulate(gradient);
  }
}

/** A change of several owners as one: where it is refused, none of them has changed. */
function together(owners: readonly MicroLora[], change: () => void): void {
  owners.reduceRight((inner, owner) => () => owner.together(inner), change)();
}

function normOf(all: GradientsOf): number {
  let squares = 0;
  for (const gradients of all.values()) {
    for (const { loraA, loraB, bias } of gradients.values()) {
      for (const part of [loraA, loraB, bias ?? []]) for (const value of part) squares += value * value;
    }
  }
  return Math.sqrt(squares);
}
