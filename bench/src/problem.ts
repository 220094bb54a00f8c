/** The same jobs, and their numbers, that every contender gets. */
export const OPERATIONS = ["forward", "request", "each", "batch"] as const;
export type Operation = (typeof OPERATIONS)[number];

export interface Shape {
  readonly rank: number;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

/** A block of parameters is A [rank, in], then B [rank, out]; Fisher and anchor are blocks too. */
export interface Problem extends Shape {
  readonly operation: Operation;
  readonly rows: number;
  /** One for every row in `each`, otherwise 1. */
  readonly adapters: number;
  readonly scaling: number;
  readonly rate: number;
  readonly lambda: number;
  readonly decay: number;
  /** [adapters, block] */
  readonly weights: Float32Array;
  /** [rows, in] */
  readonly x: Float32Array;
  /** [out] */
  readonly gradient: Float32Array;
  readonly fisher: Float32Array;
  readonly anchor: Float32Array;
  readonly running: Float32Array;
}

export function makeProblem(operation: Operation, shape: Shape, rows = 1): Problem {
  const { rank, inFeatures, outFeatures } = shape;
  const uniform = generator(rank * 1e6 + inFeatures * 31 + outFeatures);
  const fill = (length: number, low: number, high: number): Float32Array =>
    Float32Array.from({ length }, () => low + (high - low) * uniform());
  const block = rank * (inFeatures + outFeatures);
  const adapters = operation === "each" ? rows : 1;
  return {
    ...shape,
    operation,
    rows,
    adapters,
    scaling: 2,
    rate: 1e-3,
    lambda: 10,
    decay: 0.99,
    weights: fill(adapters * block, -0.05, 0.05),
    x: fill(rows * inFeatures, -1, 1),
    gradient: fill(outFeatures, -0.1, 0.1),
    fisher: fill(block, 0.01, 0.1),
    anchor: fill(block, -0.05, 0.05),
    running: fill(block, 0, 0.1),
  };
}

/** A plain array whose elements the engine keeps as doubles, not as objects, which would slow down whoever reads it. */
export function toPlain(values: Float32Array): number[] {
  const plain: number[] = [];
  for (const value of values) plain.push(value);
  return plain;
}

/** Uniform in [0, 1): mulberry32. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
