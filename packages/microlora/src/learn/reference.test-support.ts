import type { RecallConfig } from "./recall.js";

/** Softmax cross-entropy over cosine scores, in float64, by its definition. */
export function loss64(
  y: ArrayLike<number>,
  documents: readonly ArrayLike<number>[],
  chosen: number,
  temperature: number,
): number {
  const scores = documents.map((document) => cosine64(y, document) / temperature);
  const highest = Math.max(...scores);
  return Math.log(scores.reduce((sum, s) => sum + Math.exp(s - highest), 0)) - (scores[chosen]! - highest);
}

export function cosine64(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    aa += a[i]! ** 2;
    bb += b[i]! ** 2;
  }
  return aa === 0 || bb === 0 ? 0 : dot / Math.sqrt(aa * bb);
}

export function unit64(x: ArrayLike<number>): Float64Array {
  const length = Math.hypot(...Array.from(x)) || 1;
  return Float64Array.from(x, (value) => value / length);
}

/** dLoss/dy by central differences. */
export function gradient64(
  y: ArrayLike<number>,
  documents: readonly ArrayLike<number>[],
  chosen: number,
  temperature: number,
): Float64Array {
  const moved = Float64Array.from(y);
  const h = 1e-6;
  return moved.map((value, i) => {
    moved[i] = value + h;
    const above = loss64(moved, documents, chosen, temperature);
    moved[i] = value - h;
    const below = loss64(moved, documents, chosen, temperature);
    moved[i] = value;
    return (above - below) / (2 * h);
  });
}

/** What clicks are kept as, and what is recalled from them, in float64. */
export class Recall64 {
  clicks: { key: Float64Array; value: Float64Array }[] = [];

  constructor(
    readonly capacity: number,
    readonly settings: Omit<RecallConfig, "bytes">,
  ) {}

  /** x + what is recalled for the unit vector x. */
  transform(x: Float64Array): Float64Array {
    const weights = this.weights(x);
    return x.map((value, i) => this.clicks.reduce((y, click, j) => y + weights[j]! * click.value[i]!, value));
  }

  learn(x: Float64Array, gradient: Float64Array): void {
    const { strength, learningRate, mergeSimilarity } = this.settings;
    for (const [j, weight] of this.weights(x).entries()) {
      const moved = this.clicks[j]!.value.map((v, i) => v - learningRate * weight * gradient[i]!);
      const longer = Math.max(1, Math.hypot(...moved) / strength);
      this.clicks[j]!.value = moved.map((v) => v / longer);
    }
    const length = Math.hypot(...gradient);
    const click = { key: x, value: gradient.map((g) => (-strength * g) / length) };
    const similarities = this.clicks.map(({ key }) => cosine64(key, x));
    const nearest = similarities.indexOf(Math.max(...similarities));
    if (similarities[nearest]! >= (mergeSimilarity ?? Number.POSITIVE_INFINITY)) this.clicks[nearest] = click;
    else this.clicks.push(click);
    if (this.clicks.length > this.capacity) this.clicks.shift();
  }

  /** How much the unit vector x is like what is kept, which is what slow weights are let through by. */
  gate(x: Float64Array): number {
    return this.clicks.length === 0 ? 1 : this.weights(x).reduce((sum, weight) => sum + weight, 0);
  }

  weights(x: Float64Array): number[] {
    const { sharpness, nullSimilarity } = this.settings;
    const raw = this.clicks.map(({ key }) => Math.exp(sharpness * key.reduce((sum, k, i) => sum + k * x[i]!, 0)));
    const sum = raw.reduce((total, weight) => total + weight, Math.exp(sharpness * nullSimilarity));
    return raw.map((weight) => weight / sum);
  }
}
