import type { LoraAdapter } from "./lora-adapter.js";

/** An adapter's parameters in float64. */
export interface Parameters64 {
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly scaling: number;
  /** [rank, in] */
  readonly a: Float64Array;
  /** [rank, out] */
  readonly b: Float64Array;
  /** [out], zeros if there is none */
  readonly bias: Float64Array;
}

/** Values, and how far a float32 computation in any order may be from each. */
export interface Bounded {
  readonly values: Float64Array;
  readonly bounds: Float64Array;
}

const EPSILON = 2 ** -23;
/** Roundings of a term beside those of its sum. */
const FACTORS = 4;

export function parametersOf(adapter: LoraAdapter): Parameters64 {
  const { rank, inFeatures, outFeatures, spec } = adapter;
  const scaling = spec.alpha / (spec.rsLora ? Math.sqrt(rank) : rank);
  const [a, b] = [Float64Array.from(adapter.loraA), Float64Array.from(adapter.loraB)];
  const bias = Float64Array.from(adapter.bias ?? new Float32Array(outFeatures));
  return { rank, inFeatures, outFeatures, scaling, a, b, bias };
}

/** `onto` + scaling * (x A) B + bias, by its definition. */
export function delta64(p: Parameters64, x: ArrayLike<number>, onto?: ArrayLike<number>): Bounded {
  const { rank, inFeatures, outFeatures, scaling, a, b, bias } = p;
  const values = new Float64Array(outFeatures);
  const bounds = new Float64Array(outFeatures);
  for (let o = 0; o < outFeatures; o++) {
    let sum = bias[o]! + (onto?.[o] ?? 0);
    let magnitude = Math.abs(bias[o]!) + Math.abs(onto?.[o] ?? 0);
    for (let r = 0; r < rank; r++) {
      for (let i = 0; i < inFeatures; i++) {
        const term = scaling * x[i]! * a[r * inFeatures + i]! * b[r * outFeatures + o]!;
        sum += term;
        magnitude += Math.abs(term);
      }
    }
    values[o] = sum;
    bounds[o] = (rank * inFeatures + 2 + FACTORS) * EPSILON * magnitude;
  }
  return { values, bounds };
}

/** weights + sign * scaling * A B, in the layout asked for. */
export function merged64(p: Parameters64, weights: ArrayLike<number>, layout: "in-out" | "out-in", sign = 1): Bounded {
  const { rank, inFeatures, outFeatures, scaling, a, b } = p;
  const values = new Float64Array(weights.length);
  const bounds = new Float64Array(weights.length);
  for (let i = 0; i < inFeatures; i++) {
    for (let o = 0; o < outFeatures; o++) {
      const at = layout === "in-out" ? i * outFeatures + o : o * inFeatures + i;
      let sum = weights[at]!;
      let magnitude = Math.abs(sum);
      for (let r = 0; r < rank; r++) {
        const term = sign * scaling * a[r * inFeatures + i]! * b[r * outFeatures + o]!;
        sum += term;
        magnitude += Math.abs(term);
      }
      values[at] = sum;
      bounds[at] = (rank + 1 + FACTORS) * EPSILON * magnitude;
    }
  }
  return { values, bounds };
}

/** The gradient of `loss` at the flat parameters [A, B, bias], by central differences in float64. */
export function differences(p: Parameters64, withBias: boolean, loss: (p: Parameters64) => number): Float64Array {
  const blocks = withBias ? [p.a, p.b, p.bias] : [p.a, p.b];
  return Float64Array.from(
    blocks.flatMap((block) =>
      Array.from(block.keys(), (i) => {
        const old = block[i]!;
        const h = 1e-5 * Math.max(1, Math.abs(old));
        block[i] = old + h;
        const above = loss(p);
        block[i] = old - h;
        const below = loss(p);
        block[i] = old;
        return (above - below) / (2 * h);
      }),
    ),
  );
}

/** The flat parameters [A, B, bias] of an adapter, copied. */
export function flatOf(adapter: LoraAdapter): Float32Array {
  return Float32Array.of(...adapter.loraA, ...adapter.loraB, ...(adapter.bias ?? []));
}

/** The elements that are outside their bounds, as text; empty if the two agree. */
export function outside(actual: ArrayLike<number>, { values, bounds }: Bounded): string[] {
  if (actual.length !== values.length) return [`${actual.length} elements instead of ${values.length}`];
  return [...values].flatMap((value, i) =>
    Math.abs(actual[i]! - value) <= bounds[i]! ? [] : [`[${i}] is ${actual[i]}, not ${value} +- ${bounds[i]}`],
  );
}

/** The elements that differ by more than `relative` of the largest magnitude, as text. */
export function apart(actual: ArrayLike<number>, expected: ArrayLike<number>, relative: number): string[] {
  const values = Float64Array.from(expected);
  const bound = relative * values.reduce((max, value) => Math.max(max, Math.abs(value)), 1e-30);
  return outside(actual, { values, bounds: values.map(() => bound) });
}
