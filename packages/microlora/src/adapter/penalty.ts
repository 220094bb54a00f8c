import { checkAllFinite, checkFloats } from "../base/check.js";
import type { Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";
import type { AdapterSpec } from "./spec.js";

/** An EWC penalty whose blocks lie in the memory, in the parameters' layout. */
export interface Penalty {
  readonly fisher: Pointer;
  readonly anchor: Pointer;
  readonly ewcLambda: number;
}

/** Fisher information and optimal weights of a caller's, one of each by the factor that its name ends with. */
export interface PenaltyParts {
  /** [rank, inFeatures] */
  readonly fisherA: Float32Array;
  /** [rank, outFeatures] */
  readonly fisherB: Float32Array;
  /** [outFeatures]; zeros by default. */
  readonly fisherBias: Float32Array | undefined;
  readonly optimalA: Float32Array;
  readonly optimalB: Float32Array;
  readonly optimalBias: Float32Array | undefined;
}

/** Places a penalty in the memory, where it lies until the next call that needs room. @throws MicroLoraError */
export function placePenalty(runtime: Runtime, spec: AdapterSpec, parts: PenaltyParts, ewcLambda: number): Penalty {
  const { rank, inFeatures, outFeatures, bias } = spec;
  const noBias = new Float32Array(bias ? outFeatures : 0);
  const widths = [rank * inFeatures, rank * outFeatures, noBias.length] as const;
  const length = widths[0] + widths[1] + widths[2];
  const { fisherA, fisherB, fisherBias, optimalA, optimalB, optimalBias } = parts;
  const fisher = runtime.scratch.output.reserve(2 * length);
  let at = fisher >>> 2;
  const named = { fisherA, fisherB, fisherBias, optimalA, optimalB, optimalBias };
  for (const [i, [name, part = noBias]] of Object.entries(named).entries()) {
    checkFloats(part, widths[i % 3]!, name);
    checkAllFinite(part, name);
    runtime.f32.set(part, at);
    at += part.length;
  }
  return { fisher, anchor: fisher + 4 * length, ewcLambda };
}
