// Tiles of 4 x 2 for a batch with one adapter: every vector loaded serves several sums.

import { project } from "./dot";
import { expand, expandAdd } from "./expand";
import { FLOAT, VECTOR, load, madd, rowEnd, store, sums, wholeEnd, zero } from "./lanes";
import { maxAbs } from "./vector";

/** out[i * pStep + j * qStep] = p_i . q_j for 4 consecutive rows p and 2 consecutive rows q; steps in bytes. */
function dot4x2(p0: usize, q0: usize, n: i32, out: usize, pStep: usize, qStep: usize): void {
  const p1 = rowEnd(p0, n), p2 = rowEnd(p1, n), p3 = rowEnd(p2, n), q1 = rowEnd(q0, n);
  let s00 = zero(), s10 = zero(), s20 = zero(), s30 = zero();
  let s01 = zero(), s11 = zero(), s21 = zero(), s31 = zero();
  const whole = wholeEnd(0, n, 1), end = rowEnd(0, n);
  let i: usize = 0;
  if (i < whole) do {
    const u = v128.load(q0 + i), v = v128.load(q1 + i);
    let p = v128.load(p0 + i);
    s00 = madd(p, u, s00);
    s01 = madd(p, v, s01);
    p = v128.load(p1 + i);
    s10 = madd(p, u, s10);
    s11 = madd(p, v, s11);
    p = v128.load(p2 + i);
    s20 = madd(p, u, s20);
    s21 = madd(p, v, s21);
    p = v128.load(p3 + i);
    s30 = madd(p, u, s30);
    s31 = madd(p, v, s31);
    i += VECTOR;
  } while (i < whole);
  if (i < end) do {
    const u = v128.load32_zero(q0 + i), v = v128.load32_zero(q1 + i);
    let p = v128.load32_zero(p0 + i);
    s00 = madd(p, u, s00);
    s01 = madd(p, v, s01);
    p = v128.load32_zero(p1 + i);
    s10 = madd(p, u, s10);
    s11 = madd(p, v, s11);
    p = v128.load32_zero(p2 + i);
    s20 = madd(p, u, s20);
    s21 = madd(p, v, s21);
    p = v128.load32_zero(p3 + i);
    s30 = madd(p, u, s30);
    s31 = madd(p, v, s31);
    i += FLOAT;
  } while (i < end);
  scatter(out, sums(s00, s10, s20, s30), pStep);
  scatter(out + qStep, sums(s01, s11, s21, s31), pStep);
}

// @ts-ignore: decorator
@inline
function scatter(out: usize, s: v128, step: usize): void {
  v128.store32_lane(out, s, 0);
  v128.store32_lane(out + step, s, 1);
  v128.store32_lane(out + 2 * step, s, 2);
  v128.store32_lane(out + 3 * step, s, 3);
}

/** u[i] = x_i A for every row of the batch. */
function projectBatch(a: usize, x: usize, u: usize, rows: i32, rank: i32, n: i32): void {
  const uRow = <usize>rank << 2;
  const tiled = rank >= 4 ? rank & ~3 : 0;
  let i = 0;
  if (rank == 1) {
    project(x, a, u, rows, n);
    return;
  }
  if (rank == 2) {
    for (; i + 4 <= rows; i += 4) dot4x2(rowEnd(x, i * n), a, n, u + i * uRow, uRow, FLOAT);
  } else {
    for (; i + 2 <= rows; i += 2) {
      const xi = rowEnd(x, i * n), ui = u + i * uRow;
      for (let j = 0; j < tiled; j += 4) dot4x2(rowEnd(a, j * n), xi, n, rowEnd(ui, j), FLOAT, uRow);
      project(rowEnd(a, tiled * n), xi, rowEnd(ui, tiled), rank - tiled, n);
      project(rowEnd(a, tiled * n), rowEnd(xi, n), rowEnd(ui + uRow, tiled), rank - tiled, n);
    }
  }
  for (; i < rows; i++) project(a, rowEnd(x, i * n), u + i * uRow, rank, n);
}

// @ts-ignore: decorator
@inline
function put2(c0: v128, c1: v128, b0: v128, b1: v128, y: usize, add: bool, wide: bool): void {
  if (add) store(y, madd(c1, b1, madd(c0, b0, load(y, wide))), wide);
  else store(y, madd(c1, b1, f32x4.mul(c0, b0)), wide);
}

/** y_i = (or +=) c_i0 * b_0 + c_i1 * b_1 for 4 consecutive rows y; rows of c `step` bytes apart. */
// @ts-ignore: decorator
@inline
function expand4x2(c: usize, step: usize, scaling: f32, b0: usize, y0: usize, n: i32, add: bool): void {
  const c00 = f32x4.splat(scaling * f32.load(c)), c01 = f32x4.splat(scaling * f32.load(c, 4));
  c += step;
  const c10 = f32x4.splat(scaling * f32.load(c)), c11 = f32x4.splat(scaling * f32.load(c, 4));
  c += step;
  const c20 = f32x4.splat(scaling * f32.load(c)), c21 = f32x4.splat(scaling * f32.load(c, 4));
  c += step;
  const c30 = f32x4.splat(scaling * f32.load(c)), c31 = f32x4.splat(scaling * f32.load(c, 4));
  const y1 = rowEnd(y0, n), y2 = rowEnd(y1, n), y3 = rowEnd(y2, n), b1 = rowEnd(b0, n);
  const whole = wholeEnd(0, n, 1), end = rowEnd(0, n);
  let i: usize = 0;
  if (i < whole) do {
    const u = v128.load(b0 + i), v = v128.load(b1 + i);
    put2(c00, c01, u, v, y0 + i, add, true);
    put2(c10, c11, u, v, y1 + i, add, true);
    put2(c20, c21, u, v, y2 + i, add, true);
    put2(c30, c31, u, v, y3 + i, add, true);
    i += VECTOR;
  } while (i < whole);
  if (i < end) do {
    const u = load(b0 + i, false), v = load(b1 + i, false);
    put2(c00, c01, u, v, y0 + i, add, false);
    put2(c10, c11, u, v, y1 + i, add, false);
    put2(c20, c21, u, v, y2 + i, add, false);
    put2(c30, c31, u, v, y3 + i, add, false);
    i += FLOAT;
  } while (i < end);
}

function set4x2(c: usize, step: usize, scaling: f32, b: usize, y: usize, n: i32): void {
  expand4x2(c, step, scaling, b, y, n, false);
}

function add4x2(c: usize, step: usize, scaling: f32, b: usize, y: usize, n: i32): void {
  expand4x2(c, step, scaling, b, y, n, true);
}

/** y_i = scaling * u_i B + bias for every row of the batch. */
function expandBatch(b: usize, u: usize, y: usize, rows: i32, rank: i32, n: i32, bias: i32, scaling: f32): void {
  const uRow = <usize>rank << 2, yRow = <usize>n << 2;
  const tiled = rank & ~1;
  let i = 0;
  if (tiled) for (; i + 4 <= rows; i += 4) {
    let j = 0;
    if (bias) for (let k = 0; k < 4; k++) memory.copy(y + k * yRow, b + rank * yRow, yRow);
    else {
      set4x2(u, uRow, scaling, b, y, n);
      j = 2;
    }
    for (; j < tiled; j += 2) add4x2(rowEnd(u, j), uRow, scaling, b + j * yRow, y, n);
    if (tiled < rank) for (let k = 0; k < 4; k++) {
      expandAdd(b + tiled * yRow, rowEnd(u + k * uRow, tiled), FLOAT, y + k * yRow, 1, n, 0, scaling);
    }
    u += 4 * uRow;
    y += 4 * yRow;
  }
  for (; i < rows; i++) {
    expand(b, u, FLOAT, y, rank, n, bias, scaling);
    u += uRow;
    y += yRow;
  }
}

/** The first row of u [rows, rank] that is not finite, or -1. */
function firstNotFinite(u: usize, rows: i32, rank: i32): i32 {
  if (isFinite(maxAbs(u, rows * rank))) return -1;
  let i = 0;
  while (isFinite(maxAbs(rowEnd(u, i * rank), rank))) i++;
  return i;
}

export function forwardBatch(
  w: usize, x: usize, u: usize, y: usize, rows: i32, scaling: f64,
  rank: i32, inFeatures: i32, outFeatures: i32, bias: i32,
): i32 {
  projectBatch(w, x, u, rows, rank, inFeatures);
  const refused = firstNotFinite(u, rows, rank);
  if (refused < 0) expandBatch(rowEnd(w, rank * inFeatures), u, y, rows, rank, outFeatures, bias, <f32>scaling);
  return refused;
}
