import { exp, log, log1p } from "../../base/exact-math.js";

/**
 * Losses of the scores of candidates, higher being nearer. Each writes dLoss/dScore for all of them and returns the loss in nats;
 * `scores.ts` carries the gradient back to the output.
 */

/**
 * -log softmax(scores / temperature)[chosen], with gradient (p_j - [j = chosen]) / temperature (InfoNCE: van den Oord et al.
 * 2018, eq. 4, where the others are the negatives: what was shown, or the choices of the rest of a batch).
 */
export function softmaxCrossEntropy(
  scores: Float64Array,
  chosen: number,
  temperature: number,
  gradient: Float64Array,
): number {
  const highest = scores.reduce((max, score) => Math.max(max, score), Number.NEGATIVE_INFINITY);
  let sum = 0;
  let others = 0;
  for (let j = 0; j < scores.length; j++) {
    gradient[j] = exp((scores[j]! - highest) / temperature);
    sum += gradient[j]!;
    if (j !== chosen) others += gradient[j]!;
  }
  for (let j = 0; j < scores.length; j++) gradient[j] = (j === chosen ? -others : gradient[j]!) / (sum * temperature);
  return log(sum) - (scores[chosen]! - highest) / temperature;
}

/** log mean_j exp(s_j / temperature), with gradient p_j / temperature: nothing of what was shown was near enough. */
export function passedOver(scores: Float64Array, temperature: number, gradient: Float64Array): number {
  const highest = scores.reduce((max, score) => Math.max(max, score), Number.NEGATIVE_INFINITY);
  let sum = 0;
  for (let j = 0; j < scores.length; j++) {
    gradient[j] = exp((scores[j]! - highest) / temperature);
    sum += gradient[j]!;
  }
  for (let j = 0; j < scores.length; j++) gradient[j]! /= sum * temperature;
  return log(sum / scores.length) + highest / temperature;
}

/**
 * mean_j max(0, margin - (s_chosen - s_j)) over the others, the triplet loss on similarities (Schroff et al. 2015, eq. 3, with
 * scores in place of squared distances); gradient 1 / count at each other within the margin, minus their sum at the chosen.
 */
export function tripletMargin(scores: Float64Array, chosen: number, margin: number, gradient: Float64Array): number {
  const count = Math.max(1, scores.length - 1);
  let loss = 0;
  gradient.fill(0);
  for (let j = 0; j < scores.length; j++) {
    const violation = j === chosen ? 0 : margin - (scores[chosen]! - scores[j]!);
    if (violation <= 0) continue;
    loss += violation / count;
    gradient[j] = 1 / count;
    gradient[chosen]! -= 1 / count;
  }
  return loss;
}

/**
 * |rating| * -log sigmoid(sign(rating) * (s - reference) / temperature) of one item, the pointwise logistic loss with a reference
 * point (Jung et al. 2024, BCO, eq. 7, in the shape of KTO: Ethayarajh et al. 2024, eq. 8); gradient -rating / temperature *
 * sigmoid(-z). The reference is held constant, as in both. A bad rating pushes the score below the reference, and then lets go.
 */
export function ratingLoss(
  scores: Float64Array,
  rating: number,
  reference: number,
  temperature: number,
  gradient: Float64Array,
): number {
  const z = (Math.sign(rating) * (scores[0]! - reference)) / temperature;
  const tail = exp(-Math.abs(z));
  const slope = (z > 0 ? tail : 1) / (1 + tail);
  gradient[0] = (-rating / temperature) * slope;
  return Math.abs(rating) * (Math.max(0, -z) + log1p(tail));
}

/** -liking * s / temperature of one item: its score rises with how much more it is liked than others. */
export function likingLoss(scores: Float64Array, liking: number, temperature: number, gradient: Float64Array): number {
  gradient[0] = -liking / temperature;
  return gradient[0] * scores[0]!;
}
