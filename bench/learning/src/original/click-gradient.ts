/**
 * dLoss/dy of softmax cross-entropy over the cosine scores of what was shown, as `Personalizer` has it, for the original,
 * which takes gradients but computes none: with y^ = y / |y| and h = sum_j (p_j - [j = chosen]) d_j / temperature,
 * (h - (h . y^) y^) / |y|.
 * @param shown unit vectors; @param chosen index among them
 */
export function clickGradient(
  y: Float32Array,
  shown: readonly Float32Array[],
  chosen: number,
  temperature: number,
): Float32Array {
  const norm = Math.hypot(...y);
  const scores = shown.map((document) => dot(document, y) / (norm * temperature));
  const highest = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - highest));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const h = new Float64Array(y.length);
  for (const [j, document] of shown.entries()) {
    const excess = (weights[j]! / sum - Number(j === chosen)) / temperature;
    for (let i = 0; i < h.length; i++) h[i]! += excess * document[i]!;
  }
  const along = dot(h, y) / (norm * norm);
  return y.map((value, i) => (h[i]! - along * value) / norm);
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
