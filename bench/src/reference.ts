import type { Problem } from "./problem.js";

/** A result in float64, and how far float32 may be from it: n * eps * the sum of the terms' magnitudes. */
export interface Expected {
  readonly values: Float64Array;
  readonly bounds: Float64Array;
}

const EPSILON = 2 ** -23;

/** y [rows, out] of the problem's operation, from y = 0. */
export function expectedOutput(problem: Problem): Expected {
  const { rows, adapters, rank, inFeatures, outFeatures, scaling, weights, x } = problem;
  const values = new Float64Array(rows * outFeatures);
  const bounds = new Float64Array(rows * outFeatures);
  for (let row = 0; row < rows; row++) {
    const w = weights.subarray((row % adapters) * rank * (inFeatures + outFeatures));
    for (let r = 0; r < rank; r++) {
      const u = dot(x.subarray(row * inFeatures, (row + 1) * inFeatures), w.subarray(r * inFeatures));
      for (let o = 0; o < outFeatures; o++) {
        const b = w[rank * inFeatures + r * outFeatures + o]!;
        values[row * outFeatures + o]! += scaling * u.value * b;
        bounds[row * outFeatures + o]! += (inFeatures + rank + 4) * EPSILON * scaling * u.terms * Math.abs(b);
      }
    }
  }
  return { values, bounds };
}

/** The parameters after one `request`. */
export function expectedWeights(problem: Problem): Expected {
  const { rank, inFeatures, outFeatures, weights, x, gradient } = problem;
  const step = stepOf(problem);
  for (let r = 0; r < rank; r++) {
    const a = r * inFeatures;
    const b = rank * inFeatures + r * outFeatures;
    const u = dot(x, weights.subarray(a, a + inFeatures));
    const v = dot(gradient, weights.subarray(b, b + outFeatures));
    for (let i = 0; i < inFeatures; i++) step.set(a + i, v.value * x[i]!, v.terms * Math.abs(x[i]!), outFeatures);
    for (let o = 0; o < outFeatures; o++) {
      step.set(b + o, u.value * gradient[o]!, u.terms * Math.abs(gradient[o]!), inFeatures);
    }
  }
  return step.expected;
}

/** w - rate * scaling * g - rate * lambda * fisher * (w - anchor), element by element. */
function stepOf({ scaling, rate, lambda, weights, fisher, anchor }: Problem) {
  const values = new Float64Array(fisher.length);
  const bounds = new Float64Array(fisher.length);
  const set = (i: number, g: number, magnitude: number, terms: number): void => {
    const [w, f, a] = [weights[i]!, fisher[i]!, anchor[i]!];
    values[i] = w - rate * scaling * g - rate * lambda * f * (w - a);
    const sum = Math.abs(w) + rate * scaling * magnitude + rate * lambda * f * (Math.abs(w) + Math.abs(a));
    bounds[i] = (terms + 8) * EPSILON * sum;
  };
  return { set, expected: { values, bounds } };
}

/** The largest error in units of its bound; Infinity if anything is NaN. */
export function worstError(actual: ArrayLike<number>, { values, bounds }: Expected): number {
  let worst = actual.length === values.length ? 0 : Number.POSITIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    const error = Math.abs(actual[i]! - values[i]!) / bounds[i]!;
    if (!(error <= worst)) worst = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
  }
  return worst;
}

function dot(x: Float32Array, y: Float32Array): { value: number; terms: number } {
  let value = 0;
  let terms = 0;
  for (let i = 0; i < x.length; i++) {
    value += x[i]! * y[i]!;
    terms += Math.abs(x[i]! * y[i]!);
  }
  return { value, terms };
}
