import { checkAllSquares, checkFloats, checkObject } from "../base/check.js";
import { refusal } from "../base/errors.js";
import { Limits } from "./limits.js";
import type { AdapterSpec } from "./spec.js";

/** dLoss/dA, dLoss/dB and dLoss/dbias of one adapter, where an example's input and gradient are not at hand. */
export interface WholeGradient {
  /** [rank, inFeatures] */
  readonly loraA: Float32Array;
  /** [rank, outFeatures] */
  readonly loraB: Float32Array;
  /** [outFeatures], where the adapter has a bias; zeros by default. */
  readonly bias?: Float32Array;
  /**
   * Mean over the examples of the squared gradients of each one, in the same layout: what the Fisher information of a batch is
   * made of. The squares of the gradient itself by default, as of one example.
   */
  readonly squares?: Omit<WholeGradient, "squares">;
}

/** A whole gradient in the layout of the parameters [A, B, bias], checked. */
export interface CheckedGradient {
  readonly values: Float32Array;
  readonly squares: Float32Array | null;
  readonly norm: number;
}

/** @throws MicroLoraError `invalid-config`, `shape-mismatch`, `not-finite`, `out-of-range`, `update-overflow` */
export function checkWholeGradient(gradient: WholeGradient, spec: AdapterSpec): CheckedGradient {
  checkObject(gradient, "gradient");
  const values = joined(gradient, spec, "gradient");
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) {
      throw refusal("not-finite", `gradient, parameter ${i}`, `is ${values[i]}`, "Pass finite values only");
    }
    sum += values[i]! ** 2;
  }
  if (sum > Limits.FLOAT32) {
    const problem = `is ${Math.sqrt(sum)} long, and its square exceeds float32`;
    throw refusal("update-overflow", "gradient", problem, "Scale the loss down, or start from a smaller adapter");
  }
  const squares = gradient.squares === undefined ? null : joined(gradient.squares, spec, "gradient.squares");
  if (squares !== null) checkAllSquares(squares, "gradient.squares");
  return { values, squares, norm: Math.sqrt(sum) };
}

function joined({ loraA, loraB, bias }: WholeGradient, spec: AdapterSpec, where: string): Float32Array {
  const { rank, inFeatures, outFeatures } = spec;
  checkFloats(loraA, rank * inFeatures, `${where}.loraA`);
  checkFloats(loraB, rank * outFeatures, `${where}.loraB`);
  if (bias !== undefined) checkFloats(bias, spec.bias ? outFeatures : 0, `${where}.bias`);
  const values = new Float32Array(loraA.length + loraB.length + (spec.bias ? outFeatures : 0));
  values.set(loraA);
  values.set(loraB, loraA.length);
  if (bias !== undefined) values.set(bias, loraA.length + loraB.length);
  return values;
}
