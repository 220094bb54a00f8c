import type { AdapterShape } from "../kernels/contract.js";
import type { Init } from "./initial.js";

/** Everything that makes one adapter what it is before it has learned anything. */
export interface AdapterSpec {
  readonly module: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly rank: number;
  readonly alpha: number;
  readonly rsLora: boolean;
  readonly dropout: number;
  readonly bias: boolean;
  readonly init: Init;
  readonly seed: number;
  readonly learningRate: number;
  readonly ewcLambda: number;
  readonly fisherDecay: number;
}

/** alpha / rank (Hu et al. 2021), or alpha / sqrt(rank) with rsLoRA (Kalajdzievski 2023). */
export function scalingOf(spec: AdapterSpec): number {
  return spec.alpha / (spec.rsLora ? Math.sqrt(spec.rank) : spec.rank);
}

export function shapeOf({ rank, inFeatures, outFeatures, bias }: AdapterSpec): AdapterShape {
  return { rank, inFeatures, outFeatures, bias: bias ? 1 : 0 };
}
