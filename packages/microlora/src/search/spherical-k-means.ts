import { randomUniform, streamOf } from "../base/random.js";
import type { Pointer } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";

const ROUNDS = 25;
const STREAM = streamOf("spherical-k-means");

/** Unit vectors, row after row in the memory. */
export interface UnitRows {
  readonly pointer: Pointer;
  readonly rows: number;
  /** Width of a row. */
  readonly n: number;
}

/**
 * Centres of unit vectors by cosine: spherical k-means (Dhillon & Modha 2001), seeded as k-means++ does (Arthur &
 * Vassilvitskii 2007). The same seed gives the same centres.
 * @returns at most `count` unit vectors [n]; fewer where there are fewer distinct vectors
 */
export function sphericalKMeans(runtime: Runtime, vectors: UnitRows, count: number, seed: number): Float32Array[] {
  const { pointer, rows, n } = vectors;
  const centres = firstCentres(runtime, vectors, count, seed);
  if (centres.length === 0) return [];
  const matrix = runtime.allocate(centres.length * n);
  const scores = runtime.scratch.rows.reserve(centres.length);
  const assigned = new Int32Array(rows).fill(-1);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [c, centre] of centres.entries()) runtime.f32.set(centre, (matrix >>> 2) + c * n);
    let moved = false;
    for (let row = 0; row < rows; row++) {
      runtime.kernels.project(matrix, pointer + 4 * row * n, scores, centres.length, n);
      const nearest = argmax(runtime.f32, scores >>> 2, centres.length);
      moved ||= nearest !== assigned[row];
      assigned[row] = nearest;
    }
    if (!moved) break;
    for (const [c, centre] of centres.entries()) meanDirection(runtime, vectors, assigned, c, centre);
  }
  runtime.free(matrix);
  return centres;
}

/** Each next centre is a vector drawn by its squared distance to the nearest one so far, 2 - 2 cos. */
function firstCentres(runtime: Runtime, vectors: UnitRows, count: number, seed: number): Float32Array[] {
  const { pointer, rows, n } = vectors;
  const centres: Float32Array[] = [];
  const distances = new Float64Array(rows).fill(1);
  const scores = runtime.scratch.rows.reserve(rows);
  while (centres.length < count) {
    const total = distances.reduce((sum, distance) => sum + distance, 0);
    if (!(total > 1e-6 * rows)) break;
    let left = randomUniform(seed, STREAM, centres.length) * total;
    let row = 0;
    while (row < rows - 1 && left >= distances[row]!) left -= distances[row++]!;
    const drawn = pointer + 4 * row * n;
    centres.push(runtime.view(drawn, n).slice());
    runtime.kernels.project(pointer, drawn, scores, rows, n);
    const isFirst = centres.length === 1;
    for (let i = 0; i < rows; i++) {
      const distance = Math.max(0, 2 - 2 * runtime.f32[(scores >>> 2) + i]!);
      distances[i] = isFirst ? distance : Math.min(distances[i]!, distance);
    }
  }
  return centres;
}

/** Replaces a centre by the direction of the mean of its vectors; one without vectors, or with a zero mean, stays. */
function meanDirection(
  runtime: Runtime,
  { pointer, n }: UnitRows,
  assigned: Int32Array,
  c: number,
  centre: Float32Array,
): void {
  const sum = new Float64Array(n);
  for (const [row, nearest] of assigned.entries()) {
    if (nearest !== c) continue;
    const at = (pointer >>> 2) + row * n;
    for (let i = 0; i < n; i++) sum[i]! += runtime.f32[at + i]!;
  }
  const norm = Math.sqrt(sum.reduce((squares, value) => squares + value * value, 0));
  if (norm > 0) for (let i = 0; i < n; i++) centre[i] = sum[i]! / norm;
}

function argmax(values: Float32Array, start: number, length: number): number {
  let best = 0;
  for (let i = 1; i < length; i++) if (values[start + i]! > values[start + best]!) best = i;
  return best;
}
