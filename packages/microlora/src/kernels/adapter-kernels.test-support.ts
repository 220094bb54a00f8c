import type { AdapterShape } from "./contract.js";
import { type Arena, type Exact, exact, RANKS, range, SIZES } from "./kernels.test-support.js";

export interface Case extends AdapterShape {
  /** How far, in floats, arrays lie from a multiple of 16 bytes. */
  readonly shift: number;
}

/** Every rank with every width, with and without bias, the other width and the alignment changing along. */
export const CASES: readonly Case[] = RANKS.flatMap((rank) =>
  SIZES.flatMap((inFeatures, i) =>
    ([0, 1] as const).map((bias) => ({
      rank,
      inFeatures,
      outFeatures: SIZES[(7 * i + rank + bias) % SIZES.length] as number,
      bias,
      shift: (i + rank + bias) % 4,
    })),
  ),
);

/** Floats in a parameter block. */
export function blockLength({ rank, inFeatures, outFeatures, bias }: AdapterShape): number {
  return rank * (inFeatures + outFeatures) + bias * outFeatures;
}

/** sum_i x[i] * m[j, i] for each row j of a matrix that starts at `offset`. */
export function exactProjection(m: Float32Array, offset: number, x: Float32Array, rows: number): Exact[] {
  return range(rows).map((j) => exact(range(x.length).map((i) => x[i]! * m[offset + j * x.length + i]!)));
}

/** scaling * (x A) B + bias. */
export function exactDelta(shape: AdapterShape, w: Float32Array, x: Float32Array, scaling: number): Exact[] {
  const { rank, inFeatures, outFeatures, bias } = shape;
  const u = exactProjection(w, 0, x, rank);
  const offsetB = rank * inFeatures;
  const offsetBias = offsetB + rank * outFeatures;
  return range(outFeatures).map((i) => {
    const b = range(rank).map((j) => scaling * w[offsetB + j * outFeatures + i]!);
    const offset = bias ? w[offsetBias + i]! : 0;
    return {
      value: b.reduce((sum, bj, j) => sum + bj * u[j]!.value, offset),
      magnitude: b.reduce((sum, bj, j) => sum + Math.abs(bj) * u[j]!.magnitude, Math.abs(offset)),
    };
  });
}

export function plus(a: Exact, value: number): Exact {
  return { value: a.value + value, magnitude: a.magnitude + Math.abs(value) };
}

/** The whole gradient block: scaling * v (x) x, scaling * u (x) g, and g for the bias. */
export function exactGradient(
  { rank, bias }: AdapterShape,
  x: Float32Array,
  g: Float32Array,
  u: Float32Array,
  v: Float32Array,
  scaling: number,
): number[] {
  const outer = (c: Float32Array, row: Float32Array) =>
    range(rank).flatMap((j) => Array.from(row, (value) => scaling * c[j]! * value));
  return [...outer(v, x), ...outer(u, g), ...(bias ? g : [])];
}

/** Random operands of one request with the adapter, in the arena. */
export function operands(arena: Arena, shape: Case, rows = 1) {
  arena.clear();
  const { rank, inFeatures, outFeatures, shift } = shape;
  const values = {
    w: arena.random(blockLength(shape)),
    x: arena.random(rows * inFeatures),
    g: arena.random(outFeatures),
    y: arena.random(rows * outFeatures),
    u: arena.random(rows * rank),
    v: arena.random(rank),
  };
  const pointers = {
    w: arena.place(values.w, shift),
    x: arena.place(values.x, shift + 1),
    g: arena.place(values.g, shift + 2),
    y: arena.place(values.y, shift + 3),
    u: arena.place(values.u, shift),
    v: arena.place(values.v, shift + 1),
  };
  return { values, ...pointers };
}
