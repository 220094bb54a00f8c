import type { Factors, ParityCase, Results } from "./cases.test-support.js";

/** A sum in float64, with the sum of its terms' magnitudes and their number. */
class Sum {
  value = 0;
  magnitude = 0;
  count = 0;

  add(...factors: readonly number[]): this {
    const term = factors.reduce((product, factor) => product * factor, 1);
    this.value += term;
    this.magnitude += Math.abs(term);
    this.count++;
    return this;
  }

  addSum(sum: Sum, factor: number): this {
    this.value += sum.value * factor;
    this.magnitude += sum.magnitude * Math.abs(factor);
    this.count += sum.count;
    return this;
  }
}

/** Float64 values, and how far from each a float32 computation in any order may be: n * eps * the sum of |terms|. */
export interface Bounded {
  readonly values: readonly number[];
  readonly bounds: readonly number[];
}

const EPSILON = 2 ** -23;
/** Roundings that a term has beside those of the sum: scaling, reward, rate, decay. */
const FACTORS = 8;

function bounded(sums: readonly Sum[]): Bounded {
  return {
    values: sums.map((sum) => sum.value),
    bounds: sums.map((sum) => (sum.count + FACTORS) * EPSILON * sum.magnitude),
  };
}

/** Every result of a case from its definition. */
export function reference(test: ParityCase): { readonly [K in keyof Results]: Bounded } {
  const { inFeatures, outFeatures, rows, onto, decay, fisher, gradient } = test;
  const deltas = range(rows.length / inFeatures).flatMap((row) => delta(test, rows.slice(row * inFeatures)));
  const first = deltas.slice(0, outFeatures);
  const [a, b] = [gradientSums(test, "a"), gradientSums(test, "b")];
  const updated = (f: readonly number[], g: readonly number[]): Bounded =>
    bounded(f.map((old, i) => new Sum().add(decay, old).add(1 - decay, g[i]!, g[i]!)));
  return {
    forward: bounded(first),
    forwardAdd: bounded(first.map((sum, o) => new Sum().add(onto[o]!).addSum(sum, 1))),
    forwardBatch: bounded(deltas),
    appliedA: bounded(stepped(test, "a", a, 0)),
    appliedB: bounded(stepped(test, "b", b, 0)),
    penalisedA: bounded(stepped(test, "a", a, test.lambda)),
    penalisedB: bounded(stepped(test, "b", b, test.lambda)),
    fisherA: updated(fisher.a, gradient.a),
    fisherB: updated(fisher.b, gradient.b),
    merged: bounded(merged(test)),
  };
}

/** scaling * (x A) B */
function delta({ rank, inFeatures, outFeatures, alpha, weights }: ParityCase, x: readonly number[]): Sum[] {
  const u = range(rank).map((r) => intermediate(weights.a, rank, inFeatures, r, x));
  return range(outFeatures).map((o) => {
    const sum = new Sum();
    for (let r = 0; r < rank; r++) sum.addSum(u[r]!, (alpha / rank) * weights.b[r * outFeatures + o]!);
    return sum;
  });
}

/** (x A)[r] */
function intermediate(a: readonly number[], rank: number, inFeatures: number, r: number, x: readonly number[]): Sum {
  const sum = new Sum();
  for (let i = 0; i < inFeatures; i++) sum.add(x[i]!, a[i * rank + r]!);
  return sum;
}

/** The sum over the examples of reward * dLoss/dA, or dLoss/dB. */
function gradientSums(test: ParityCase, part: keyof Factors): Sum[] {
  const { rank, inFeatures, outFeatures, alpha, weights, examples } = test;
  const sums = weights[part].map(() => new Sum());
  for (const { x, gradient, reward } of examples) {
    const factor = reward * (alpha / rank);
    for (let r = 0; r < rank; r++) {
      const u = intermediate(weights.a, rank, inFeatures, r, x);
      const v = new Sum();
      for (let o = 0; o < outFeatures; o++) v.add(gradient[o]!, weights.b[r * outFeatures + o]!);
      if (part === "a") for (const [i, xi] of x.entries()) sums[i * rank + r]!.addSum(v, factor * xi);
      else for (const [o, g] of gradient.entries()) sums[r * outFeatures + o]!.addSum(u, factor * g);
    }
  }
  return sums;
}

/** w - learningRate * (mean gradient + lambda * fisher * (w - anchor)) */
function stepped(test: ParityCase, part: keyof Factors, gradients: readonly Sum[], lambda: number): Sum[] {
  const { weights, fisher, anchor, learningRate, examples } = test;
  return weights[part].map((w, i) => {
    const sum = new Sum().add(w).addSum(gradients[i]!, -learningRate / examples.length);
    if (lambda === 0) return sum;
    const pull = learningRate * lambda * fisher[part][i]!;
    return sum.add(-pull, w).add(pull, anchor[part][i]!);
  });
}

/** base + scaling * A B */
function merged({ rank, inFeatures, outFeatures, alpha, weights, base }: ParityCase): Sum[] {
  return range(inFeatures * outFeatures).map((k) => {
    const [i, o] = [Math.floor(k / outFeatures), k % outFeatures];
    const sum = new Sum().add(base[k]!);
    for (let r = 0; r < rank; r++) sum.add(alpha / rank, weights.a[i * rank + r]!, weights.b[r * outFeatures + o]!);
    return sum;
  });
}

function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}

/** The elements that are outside their bounds, as text; empty if the two agree. */
export function outside(actual: ArrayLike<number>, { values, bounds }: Bounded): string[] {
  if (actual.length !== values.length) return [`${actual.length} elements instead of ${values.length}`];
  return values.flatMap((value, i) =>
    Math.abs(actual[i]! - value) <= bounds[i]! ? [] : [`[${i}] is ${actual[i]}, not ${value} +- ${bounds[i]}`],
  );
}
