/** Factors as the original keeps them, flat and row-major: A [in, rank], B [rank, out]. */
export interface Factors {
  readonly a: readonly number[];
  readonly b: readonly number[];
}

/** What the harness of the original (`bench/rust-original/src/bin/parity.rs`) reads; every number is a float32. */
export interface ParityCase {
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly alpha: number;
  readonly weights: Factors;
  /** [n, in]; the first row is also the input of the single forward. */
  readonly rows: readonly number[];
  /** [out], what the adding forwards add to. */
  readonly onto: readonly number[];
  readonly examples: readonly {
    readonly x: readonly number[];
    readonly gradient: readonly number[];
    readonly reward: number;
  }[];
  readonly learningRate: number;
  readonly lambda: number;
  readonly decay: number;
  readonly fisher: Factors;
  readonly anchor: Factors;
  /** What the Fisher information is updated with. */
  readonly gradient: Factors;
  /** [in, out], what is merged into. */
  readonly base: readonly number[];
}

/** What a case comes to, by the original, by ours or in float64: names of results, each flat and in the original's layout. */
export interface Results {
  readonly forward: ArrayLike<number>;
  readonly forwardAdd: ArrayLike<number>;
  readonly forwardBatch: ArrayLike<number>;
  readonly appliedA: ArrayLike<number>;
  readonly appliedB: ArrayLike<number>;
  readonly penalisedA: ArrayLike<number>;
  readonly penalisedB: ArrayLike<number>;
  readonly fisherA: ArrayLike<number>;
  readonly fisherB: ArrayLike<number>;
  readonly merged: ArrayLike<number>;
}

/** A source of numbers in [0, 1). */
export type Uniform = () => number;

/** mulberry32 */
export function uniformFrom(seed: number): Uniform {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export function randomCase(rank: number, maxWidth: number, uniform: Uniform): ParityCase {
  const between = (low: number, high: number): number => Math.fround(low + (high - low) * uniform());
  const integer = (low: number, high: number): number => low + Math.floor(uniform() * (high - low + 1));
  const fill = (n: number, low: number, high: number): number[] => Array.from({ length: n }, () => between(low, high));
  const [inFeatures, outFeatures] = [integer(1, maxWidth), integer(1, maxWidth)];
  const factors = (low: number, high: number): Factors => ({
    a: fill(inFeatures * rank, low, high),
    b: fill(rank * outFeatures, low, high),
  });
  return {
    rank,
    inFeatures,
    outFeatures,
    alpha: between(0.5, 16),
    weights: factors(-0.5, 0.5),
    rows: fill(integer(1, 5) * inFeatures, -2, 2),
    onto: fill(outFeatures, -1, 1),
    examples: Array.from({ length: integer(1, 3) }, () => ({
      x: fill(inFeatures, -2, 2),
      gradient: fill(outFeatures, -1, 1),
      reward: between(-1, 1),
    })),
    learningRate: between(0.001, 0.1),
    lambda: between(0, 5),
    decay: between(0, 1),
    fisher: factors(0, 1),
    anchor: factors(-0.5, 0.5),
    gradient: factors(-3, 3),
    base: fill(inFeatures * outFeatures, -1, 1),
  };
}
