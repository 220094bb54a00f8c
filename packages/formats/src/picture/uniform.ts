import { type LoraTarget, scalingOf } from "./lora-file.js";

/** Targets that share rank and scaling, for programs that know one of each. */
export interface UniformTargets {
  /** Rank of A and B. */
  readonly rank: number;
  /** Numerator of the scaling. */
  readonly alpha: number;
  /** Scales by alpha / sqrt(rank) instead of alpha / rank. */
  readonly rsLora: boolean;
  /** The targets, brought to that rank and scaling. */
  readonly targets: readonly LoraTarget[];
}

/**
 * The same changes with one rank and one scaling: smaller ranks are filled up with zeros, which change nothing and never
 * learn, and scalings other than the most common one are folded into B, which rounds each number once. Without
 * rsLoRA, which some programs ignore (SGLang 0.5.23): its factor becomes one of alpha / rank.
 */
export function toUniform(targets: readonly LoraTarget[]): UniformTargets {
  const rank = targets.reduce((max, target) => Math.max(max, target.rank), 1);
  const first = targets[0];
  const isPlain = targets.every((target) => target.rank === rank && target.alpha === first?.alpha && !target.rsLora);
  if (isPlain) return { rank, alpha: first?.alpha ?? 1, rsLora: false, targets };
  const alpha = mostCommon(targets.map(scalingOf)) * rank;
  return { rank, alpha, rsLora: false, targets: targets.map((target) => withScaling(target, rank, alpha)) };
}

/** The same changes, all of them or none by rsLoRA, as a `MicroLora` and PEFT's `use_rslora` want them. */
export function withOneRule(targets: readonly LoraTarget[]): readonly LoraTarget[] {
  if (targets.every(({ rsLora }) => rsLora)) return targets;
  return targets.map((target) => ({ ...target, rsLora: false, alpha: scalingOf(target) * target.rank }));
}

function withScaling(target: LoraTarget, rank: number, alpha: number): LoraTarget {
  const ratio = alpha === 0 ? 0 : (scalingOf(target) * rank) / alpha;
  const loraA = new Float32Array(rank * target.inFeatures);
  const loraB = new Float32Array(rank * target.outFeatures);
  loraA.set(target.loraA);
  for (let i = 0; i < target.loraB.length; i++) loraB[i] = target.loraB[i]! * ratio;
  return { ...target, rank, alpha, rsLora: false, loraA, loraB };
}

/** The value that comes most often, the first such; of numbers that are all zero, zero. */
export function mostCommon(values: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const value of values) if (value !== 0) counts.set(value, (counts.get(value) ?? 0) + 1);
  let best = 0;
  for (const [value, count] of counts) if (count > (counts.get(best) ?? 0)) best = value;
  return best;
}
