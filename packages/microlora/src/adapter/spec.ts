import type { AdapterShape } from "../kernels/contract.js";
import type { Init } from "./initial.js";
import type { Method, Methods } from "./methods/method.js";

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
  /** Bound on the norm of one step's gradient; null for none. */
  readonly clipNorm: number | null;
  readonly optimizer: Method;
  readonly ewc: Method;
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
