/**
 * Softmax cross-entropy over cosine scores, in float64, by its definition.
 * @param chosen -1 for none: the mean of what was shown stands for it then
 */
export function loss64(
  y: ArrayLike<number>,
  documents: readonly ArrayLike<number>[],
  chosen: number,
  temperature: number,
  offsets?: ArrayLike<number>,
): number {
  const scores = documents.map((document, j) => (cosine64(y, document) + (offsets?.[j] ?? 0)) / temperature);
  const highest = Math.max(...scores);
  const sum = scores.reduce((total, s) => total + Math.exp(s - highest), 0);
  if (chosen === -1) return Math.log(sum / scores.length) + highest;
  return Math.log(sum) - (scores[chosen]! - highest);
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

/** The gradient of a function of y by central differences. */
export function slope64(y: ArrayLike<number>, loss: (y: Float64Array) => number): Float64Array {
  const moved = Float64Array.from(y);
  const h = 1e-6;
  return moved.map((value, i) => {
    moved[i] = value + h;
    const above = loss(moved);
    moved[i] = value - h;
    const below = loss(moved);
    moved[i] = value;
    return (above - below) / (2 * h);
  });
}

/** dLoss/dy of `loss64`. */
export function gradient64(
  y: ArrayLike<number>,
  documents: readonly ArrayLike<number>[],
  chosen: number,
  temperature: number,
  offsets?: ArrayLike<number>,
): Float64Array {
  return slope64(y, (moved) => loss64(moved, documents, chosen, temperature, offsets));
}
