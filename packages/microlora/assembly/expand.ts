// Tiles of sums of rows: y += c0 * b0 + c1 * b1 + ..., for 1 to 4 consecutive rows of b, y loaded and stored once.

import { FLOAT, VECTOR, load, madd, rowEnd, store, wholeEnd } from "./lanes";

// @ts-ignore: decorator
@inline
function put1(c: v128, b: usize, y: usize, wide: bool, offset: usize): void {
  store(y, madd(c, load(b, wide, offset), load(y, wide, offset)), wide, offset);
}

function add1(c: v128, b: usize, y: usize, n: i32): void {
  const c0 = f32x4.splat(f32x4.extract_lane(c, 0));
  const unrolled = wholeEnd(y, n, 4), whole = wholeEnd(y, n, 1), end = rowEnd(y, n);
  if (y < unrolled) do {
    put1(c0, b, y, true, 0);
    put1(c0, b, y, true, 16);
    put1(c0, b, y, true, 32);
    put1(c0, b, y, true, 48);
    b += 4 * VECTOR;
    y += 4 * VECTOR;
  } while (y < unrolled);
  if (y < whole) do {
    put1(c0, b, y, true, 0);
    b += VECTOR;
    y += VECTOR;
  } while (y < whole);
  if (y < end) do {
    put1(c0, b, y, false, 0);
    b += FLOAT;
    y += FLOAT;
  } while (y < end);
}

// @ts-ignore: decorator
@inline
function put2(c0: v128, c1: v128, b0: usize, b1: usize, y: usize, wide: bool, offset: usize): void {
  store(y, madd(c1, load(b1, wide, offset), madd(c0, load(b0, wide, offset), load(y, wide, offset))), wide, offset);
}

function add2(c: v128, b0: usize, y: usize, n: i32): void {
  const c0 = f32x4.splat(f32x4.extract_lane(c, 0)), c1 = f32x4.splat(f32x4.extract_lane(c, 1));
  const unrolled = wholeEnd(y, n, 4), whole = wholeEnd(y, n, 1), end = rowEnd(y, n);
  let b1 = rowEnd(b0, n);
  if (y < unrolled) do {
    put2(c0, c1, b0, b1, y, true, 0);
    put2(c0, c1, b0, b1, y, true, 16);
    put2(c0, c1, b0, b1, y, true, 32);
    put2(c0, c1, b0, b1, y, true, 48);
    b0 += 4 * VECTOR;
    b1 += 4 * VECTOR;
    y += 4 * VECTOR;
  } while (y < unrolled);
  if (y < whole) do {
    put2(c0, c1, b0, b1, y, true, 0);
    b0 += VECTOR;
    b1 += VECTOR;
    y += VECTOR;
  } while (y < whole);
  if (y < end) do {
    put2(c0, c1, b0, b1, y, false, 0);
    b0 += FLOAT;
    b1 += FLOAT;
    y += FLOAT;
  } while (y < end);
}

// @ts-ignore: decorator
@inline
function put3(c0: v128, c1: v128, c2: v128, b0: usize, b1: usize, b2: usize, y: usize, wide: bool): void {
  const two = madd(c1, load(b1, wide), madd(c0, load(b0, wide), load(y, wide)));
  store(y, madd(c2, load(b2, wide), two), wide);
}

function add3(c: v128, b0: usize, y: usize, n: i32): void {
  const c0 = f32x4.splat(f32x4.extract_lane(c, 0)), c1 = f32x4.splat(f32x4.extract_lane(c, 1));
  const c2 = f32x4.splat(f32x4.extract_lane(c, 2));
  const whole = wholeEnd(y, n, 1), end = rowEnd(y, n);
  let b1 = rowEnd(b0, n), b2 = rowEnd(b1, n);
  if (y < whole) do {
    put3(c0, c1, c2, b0, b1, b2, y, true);
    b0 += VECTOR;
    b1 += VECTOR;
    b2 += VECTOR;
    y += VECTOR;
  } while (y < whole);
  if (y < end) do {
    put3(c0, c1, c2, b0, b1, b2, y, false);
    b0 += FLOAT;
    b1 += FLOAT;
    b2 += FLOAT;
    y += FLOAT;
  } while (y < end);
}

// @ts-ignore: decorator
@inline
function put4(
  c0: v128, c1: v128, c2: v128, c3: v128, b0: usize, b1: usize, b2: usize, b3: usize,
  y: usize, wide: bool, offset: usize,
): void {
  const two = madd(c1, load(b1, wide, offset), madd(c0, load(b0, wide, offset), load(y, wide, offset)));
  store(y, madd(c3, load(b3, wide, offset), madd(c2, load(b2, wide, offset), two)), wide, offset);
}

function add4(c: v128, b0: usize, y: usize, n: i32): void {
  const c0 = f32x4.splat(f32x4.extract_lane(c, 0)), c1 = f32x4.splat(f32x4.extract_lane(c, 1));
  const c2 = f32x4.splat(f32x4.extract_lane(c, 2)), c3 = f32x4.splat(f32x4.extract_lane(c, 3));
  const unrolled = wholeEnd(y, n, 4), whole = wholeEnd(y, n, 1), end = rowEnd(y, n);
  let b1 = rowEnd(b0, n), b2 = rowEnd(b1, n), b3 = rowEnd(b2, n);
  if (y < unrolled) do {
    put4(c0, c1, c2, c3, b0, b1, b2, b3, y, true, 0);
    put4(c0, c1, c2, c3, b0, b1, b2, b3, y, true, 16);
    put4(c0, c1, c2, c3, b0, b1, b2, b3, y, true, 32);
    put4(c0, c1, c2, c3, b0, b1, b2, b3, y, true, 48);
    b0 += 4 * VECTOR;
    b1 += 4 * VECTOR;
    b2 += 4 * VECTOR;
    b3 += 4 * VECTOR;
    y += 4 * VECTOR;
  } while (y < unrolled);
  if (y < whole) do {
    put4(c0, c1, c2, c3, b0, b1, b2, b3, y, true, 0);
    b0 += VECTOR;
    b1 += VECTOR;
    b2 += VECTOR;
    b3 += VECTOR;
    y += VECTOR;
  } while (y < whole);
  if (y < end) do {
    put4(c0, c1, c2, c3, b0, b1, b2, b3, y, false, 0);
    b0 += FLOAT;
    b1 += FLOAT;
    b2 += FLOAT;
    b3 += FLOAT;
    y += FLOAT;
  } while (y < end);
}

/** What row j of B is multiplied by; the bias is the row after the last, taken as it is. */
// @ts-ignore: decorator
@inline
function coefficient(u: usize, stride: usize, j: i32, rank: i32, scaling: f32): f32 {
  return j < rank ? scaling * f32.load(u + <usize>j * stride) : 1;
}

/**
 * y += scaling * u B + bias, with u[j] at u + j * stride.
 * The rows of B and the bias that follows them go in tiles of 4, then what is left.
 */
export function expandAdd(
  b: usize, u: usize, stride: usize, y: usize, rank: i32, n: i32, bias: i32, scaling: f32,
): void {
  const rows = rank + bias;
  let j = 0;
  while (j < rows) {
    let c = f32x4.splat(coefficient(u, stride, j, rank, scaling));
    if (j + 1 < rows) c = f32x4.replace_lane(c, 1, coefficient(u, stride, j + 1, rank, scaling));
    if (j + 2 < rows) c = f32x4.replace_lane(c, 2, coefficient(u, stride, j + 2, rank, scaling));
    if (j + 3 < rows) {
      c = f32x4.replace_lane(c, 3, coefficient(u, stride, j + 3, rank, scaling));
      add4(c, b, y, n);
    } else if (j + 2 < rows) add3(c, b, y, n);
    else if (j + 1 < rows) add2(c, b, y, n);
    else add1(c, b, y, n);
    b += <usize>n << 4;
    j += 4;
  }
}

/** The same, to zeros. */
export function expand(
  b: usize, u: usize, stride: usize, y: usize, rank: i32, n: i32, bias: i32, scaling: f32,
): void {
  memory.fill(y, 0, <usize>n << 2);
  expandAdd(b, u, stride, y, rank, n, bias, scaling);
}
