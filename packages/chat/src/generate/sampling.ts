import { ChatError } from "../base/errors.js";

/** How tokens are chosen. */
export interface SamplingOptions {
  /** 0, the default, takes the likeliest token. */
  readonly temperature?: number;
  /** Only so many of the likeliest tokens count; 0, the default, for all. */
  readonly topK?: number;
  /** Only the likeliest tokens that together have this probability count; 1, the default, for all. */
  readonly topP?: number;
  /** Scores of tokens that are there already are divided by this, negative ones multiplied; 1, the default, for none. */
  readonly repetitionPenalty?: number;
  /** The same seed gives the same text; 0 by default. */
  readonly seed?: number;
}

export interface Sampling extends Required<SamplingOptions> {}

/** Options with their defaults. @throws ChatError `invalid-option` */
export function samplingOf(options: SamplingOptions): Sampling {
  const { temperature = 0, topK = 0, topP = 1, repetitionPenalty = 1, seed = 0 } = options;
  check("temperature", temperature, temperature >= 0 && temperature < 1e3, "Pass 0 or more");
  check("topK", topK, Number.isInteger(topK) && topK >= 0, "Pass a count of tokens, or 0 for all");
  check("topP", topP, topP > 0 && topP <= 1, "Pass a probability above 0");
  check("repetitionPenalty", repetitionPenalty, repetitionPenalty > 0 && repetitionPenalty < 1e3, "Pass 1 or more");
  check("seed", seed, Number.isSafeInteger(seed), "Pass an integer");
  return { temperature, topK, topP, repetitionPenalty, seed };
}

function check(name: string, value: number, isRight: boolean, remedy: string): void {
  if (!isRight) throw new ChatError("invalid-option", name, `is ${value}`, remedy);
}

/** Probabilities of scores (softmax), computed in float64. */
export function softmax(scores: ArrayLike<number>): Float64Array {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < scores.length; i++) largest = Math.max(largest, scores[i]!);
  const powers = new Float64Array(scores.length);
  let total = 0;
  for (let i = 0; i < scores.length; i++) total += powers[i] = Math.exp(scores[i]! - largest);
  for (let i = 0; i < powers.length; i++) powers[i]! /= total;
  return powers;
}

/** Lowers the scores of tokens that were used before (Keskar et al. 2019, section 4.1). */
export function penalized(scores: Float32Array, seen: ReadonlySet<number>, penalty: number): Float32Array {
  if (penalty === 1 || seen.size === 0) return scores;
  const changed = scores.slice();
  for (const token of seen) changed[token]! *= changed[token]! < 0 ? penalty : 1 / penalty;
  return changed;
}

/** Chooses a token. @param probabilities [vocabulary] @param random in [0, 1) */
export function choose(probabilities: Float64Array, { temperature, topK, topP }: Sampling, random: number): number {
  if (temperature === 0) return likeliest(probabilities);
  const tokens = candidates(probabilities, topK, topP);
  const weights = tokens.map((token) => probabilities[token]! ** (1 / temperature));
  let left = random * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [i, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return tokens[i]!;
  }
  return tokens[0]!;
}

function likeliest(probabilities: Float64Array): number {
  let best = 0;
  for (let i = 1; i < probabilities.length; i++) if (probabilities[i]! > probabilities[best]!) best = i;
  return best;
}

/** Tokens by probability, cut after `topK` of them and after the share `topP` of their probability. */
function candidates(probabilities: Float64Array, topK: number, topP: number): readonly number[] {
  const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b]! - probabilities[a]! || a - b);
  const first = topK > 0 ? order.slice(0, topK) : order;
  const total = first.reduce((sum, token) => sum + probabilities[token]!, 0);
  let [count, sum] = [0, 0];
  while (count < first.length && sum < topP * total) sum += probabilities[first[count++]!]!;
  return first.slice(0, Math.max(1, count));
}

/** Numbers in [0, 1) by seed and position, so that a text does not depend on what else is generated (splitmix32). */
export function randomAt(seed: number, position: number): number {
  let state = (Math.imul(seed, 0x9e3779b1) + Math.imul(position + 1, 0x85ebca6b)) | 0;
  state = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
  state = Math.imul(state ^ (state >>> 15), 0x735a2d97);
  return ((state ^ (state >>> 15)) >>> 0) / 2 ** 32;
}
