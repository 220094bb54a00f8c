// The kernels over plain vectors: `VectorKernels` of the contract.

import { dot1, project as projectRows } from "./dot";
import { expandAdd as expandRows } from "./expand";
import { FLOAT, VECTOR, load, rowEnd, wholeEnd, zero } from "./lanes";
import { updateRowEwc, updateRow, trackRow } from "./update";

export function project(a: usize, x: usize, u: usize, rows: i32, n: i32): void {
  projectRows(a, x, u, rows, n);
}

export function expandAdd(c: usize, b: usize, y: usize, rows: i32, n: i32): void {
  expandRows(b, c, FLOAT, y, rows, n, 0, 1);
}

export function merge(
  y: usize, rows: i32, cols: i32, coef: usize, coefStride: i32, basis: usize, rank: i32, scaling: f64,
): void {
  for (let i = 0; i < rows; i++) {
    expandRows(basis, coef, <usize>coefStride << 2, y, rank, cols, 0, <f32>scaling);
    coef += FLOAT;
    y = rowEnd(y, cols);
  }
}

export function apply(w: usize, g: usize, n: i32, rate: f64): void {
  updateRow(w, g, n, <f32>rate);
}

export function applyEwc(w: usize, g: usize, fisher: usize, anchor: usize, n: i32, rate: f64, penalty: f64): void {
  updateRowEwc(w, g, n, <f32>rate, fisher, anchor, <f32>penalty);
}

export function updateFisher(fisher: usize, g: usize, n: i32, decay: f64): void {
  trackRow(fisher, g, n, <f32>Math.sqrt(1 - decay), <f32>decay);
}

export function sumSquares(x: usize, n: i32): f64 {
  return f32x4.extract_lane(dot1(x, x, n), 0);
}

/** As integers without their sign bits, finite < Infinity < NaN. */
export function maxAbs(x: usize, n: i32): f32 {
  const magnitude = i32x4.splat(0x7fffffff);
  let m0 = zero(), m1 = zero();
  const unrolled = wholeEnd(x, n, 2), end = rowEnd(x, n);
  if (x < unrolled) do {
    m0 = i32x4.max_s(m0, v128.and(v128.load(x), magnitude));
    m1 = i32x4.max_s(m1, v128.and(v128.load(x, 16), magnitude));
    x += 2 * VECTOR;
  } while (x < unrolled);
  if (x < end) do {
    m0 = i32x4.max_s(m0, v128.and(load(x, false), magnitude));
    x += FLOAT;
  } while (x < end);
  m0 = i32x4.max_s(m0, m1);
  m0 = i32x4.max_s(m0, v128.shuffle<i32>(m0, m0, 2, 3, 0, 1));
  m0 = i32x4.max_s(m0, v128.shuffle<i32>(m0, m0, 1, 0, 3, 2));
  return f32x4.extract_lane(m0, 0);
}

/** For given data a bijection of the hash, and the other way round: one element that changes, changes the result. */
// @ts-ignore: decorator
@inline
function mix(hash: v128, bits: v128): v128 {
  return i32x4.add(v128.or(i32x4.shl(hash, 5), i32x4.shr_u(hash, 27)), bits);
}

// @ts-ignore: decorator
@inline
function mixLane(hash: i32, bits: i32): i32 {
  const product = (hash ^ bits) * 0x9e3779b1;
  return product ^ (product >>> 15);
}

export function fingerprint(x: usize, n: i32): i32 {
  let h0 = i32x4(1, 2, 3, 4), h1 = i32x4(5, 6, 7, 8), h2 = i32x4(9, 10, 11, 12), h3 = i32x4(13, 14, 15, 16);
  const unrolled = wholeEnd(x, n, 4), end = rowEnd(x, n);
  if (x < unrolled) do {
    h0 = mix(h0, v128.load(x));
    h1 = mix(h1, v128.load(x, 16));
    h2 = mix(h2, v128.load(x, 32));
    h3 = mix(h3, v128.load(x, 48));
    x += 4 * VECTOR;
  } while (x < unrolled);
  let hash = n;
  if (x < end) do {
    hash = mixLane(hash, i32.load(x));
    x += FLOAT;
  } while (x < end);
  return mixLanes(mixLanes(mixLanes(mixLanes(hash, h0), h1), h2), h3);
}

function mixLanes(hash: i32, lanes: v128): i32 {
  hash = mixLane(hash, i32x4.extract_lane(lanes, 0));
  hash = mixLane(hash, i32x4.extract_lane(lanes, 1));
  hash = mixLane(hash, i32x4.extract_lane(lanes, 2));
  return mixLane(hash, i32x4.extract_lane(lanes, 3));
}
