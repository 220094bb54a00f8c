/** A fact that an answer may come from, and how likely that is. */
export interface Source {
  readonly tokens: Uint32Array;
  /** Probability that the answer is this one, before its first token. */
  readonly prior: number;
}

/**
 * An answer comes from the model, or is one of some facts, word for word: p(x) = p0 p_model(x) + sum_j p_j [x is fact j]. Token by token,
 * each source counts by how well it foretold the tokens before (Bayes): a fact that was left dies out.
 *
 * Source: the mixture of kNN-LM (Khandelwal et al. 2020, eq. 3), over whole answers instead of single tokens.
 */
export class Mixture {
  readonly #sources: readonly Source[];
  readonly #weights: Float64Array;
  #model: number;
  #position = 0;

  constructor(sources: readonly Source[]) {
    this.#sources = sources;
    this.#weights = Float64Array.from(sources, ({ prior }) => prior);
    this.#model = Math.max(0, 1 - this.#weights.reduce((sum, weight) => sum + weight, 0));
  }

  /** The share of the model now. */
  get modelShare(): number {
    return this.#model;
  }

  /** Whether the model alone goes on. */
  get isOver(): boolean {
    return this.#weights.every((weight) => weight === 0);
  }

  /** Turns the model's probabilities into those of the mixture, in place. */
  mix(probabilities: Float32Array | Float64Array): void {
    if (this.isOver) return;
    for (let i = 0; i < probabilities.length; i++) probabilities[i]! *= this.#model;
    for (const [j, { tokens }] of this.#sources.entries()) {
      const token = tokens[this.#position];
      if (token !== undefined) probabilities[token]! += this.#weights[j]!;
    }
  }

  /** The mixture's probability of a token. @param probability that the model gives it */
  probabilityOf(token: number, probability: number): number {
    let sum = this.#model * probability;
    for (const [j, { tokens }] of this.#sources.entries()) {
      if (tokens[this.#position] === token) sum += this.#weights[j]!;
    }
    return sum;
  }

  /** Goes on behind a token. @param probability that the model gave it */
  accept(token: number, probability: number): void {
    this.#model *= probability;
    for (const [j, { tokens }] of this.#sources.entries()) {
      if (tokens[this.#position] !== token) this.#weights[j] = 0;
    }
    this.#position += 1;
    const total = this.#weights.reduce((sum, weight) => sum + weight, this.#model);
    if (total <= 0) {
      this.#model = 1;
      return;
    }
    this.#model /= total;
    for (let j = 0; j < this.#weights.length; j++) this.#weights[j]! /= total;
  }
}
