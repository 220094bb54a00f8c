import type { AdapterShape } from "../kernels/contract.js";
import type { Init } from "./initial.js";
import type { Method, Methods } from "./methods/method.js";

/** Everything that makes one adapter what it is before it has learned anything. */
export interface AdapterSpec {
  /** Name of the module. */
  readonly module: string;
  /** Width of the input. */
  readonly inFeatures: number;
  /** Width of the output. */
  readonly outFeatures: number;
  /** Rank of A and B. */
  readonly rank: number;
  /** Numerator of the scaling: alpha / rank, or alpha / sqrt(rank) with `rsLora`. */
  readonly alpha: number;
  /** Scales by alpha / sqrt(rank) instead of alpha / rank. */
  readonly rsLora: boolean;
  /** Probability of dropping an input while training, in [0, 1). */
  readonly dropout: number;
  /** Whether a bias is learned beside A and B. */
  readonly bias: boolean;
  /** How A is drawn at first. */
  readonly init: Init;
  /** Seed of the first weights. */
  readonly seed: number;
  /** Length of a step, before the schedule. */
  readonly learningRate: number;
  /** Strength of the EWC penalty; 0 switches it off. */
  readonly ewcLambda: number;
  /** Share of the Fisher information that stays at each step, in [0, 1]. */
  readonly fisherDecay: number;
  /** Bound on the norm of one step's gradient; null for none. */
  readonly clipNorm: number | null;
  /** How a gradient becomes a step. */
  readonly optimizer: Method;
  /** How Fisher information is gathered and weights are held. */
  readonly ewc: Method;
  /** How the learning rate changes with the number of steps. */
  readonly schedule: Method;
  /** @internal The code of the three. */
  readonly methods: Methods;
}

/** alpha / rank (Hu et al. 2021), or alpha / sqrt(rank) with rsLoRA (Kalajdzievski 2023); 0 where only a bias is learned. */
export function scalingOf(spec: AdapterSpec): number {
  if (spec.rank === 0) return 0;
  return spec.alpha / (spec.rsLora ? Math.sqrt(spec.rank) : spec.rank);
}

type Shaped = Pick<AdapterSpec, "rank" | "inFeatures" | "outFeatures" | "bias">;

export function shapeOf({ rank, inFeatures, outFeatures, bias }: Shaped): AdapterShape {
  return { rank, inFeatures, outFeatures, bias: bias ? 1 : 0 };
}
