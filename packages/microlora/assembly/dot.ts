// Tiles of inner products: one vector x against 1 to 4 consecutive rows of a, x read once.
// Loops are bottom-tested: V8 hoists nothing out of a top-tested one. Few accumulators: V8 spills the rest.

import { FLOAT, VECTOR, allFinite, madd, rowEnd, sums, wholeEnd, zero } from "./lanes";

export function dot1(a: usize, x: usize, n: i32): v128 {
  let s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero(), s4 = zero(), s5 = zero(), s6 = zero(), s7 = zero();
  const unrolled = wholeEnd(x, n, 8), whole = wholeEnd(x, n, 1), end = rowEnd(x, n);
  if (x < unrolled) do {
    s0 = madd(v128.load(a), v128.load(x), s0);
    s1 = madd(v128.load(a, 16), v128.load(x, 16), s1);
    s2 = madd(v128.load(a, 32), v128.load(x, 32), s2);
    s3 = madd(v128.load(a, 48), v128.load(x, 48), s3);
    s4 = madd(v128.load(a, 64), v128.load(x, 64), s4);
    s5 = madd(v128.load(a, 80), v128.load(x, 80), s5);
    s6 = madd(v128.load(a, 96), v128.load(x, 96), s6);
    s7 = madd(v128.load(a, 112), v128.load(x, 112), s7);
    a += 8 * VECTOR;
    x += 8 * VECTOR;
  } while (x < unrolled);
  s0 = f32x4.add(s0, s4);
  s1 = f32x4.add(s1, s5);
  s2 = f32x4.add(s2, s6);
  s3 = f32x4.add(s3, s7);
  if (x < whole) do {
    s0 = madd(v128.load(a), v128.load(x), s0);
    a += VECTOR;
    x += VECTOR;
  } while (x < whole);
  if (x < end) do {
    s1 = madd(v128.load32_zero(a), v128.load32_zero(x), s1);
    a += FLOAT;
    x += FLOAT;
  } while (x < end);
  return sums(f32x4.add(f32x4.add(s0, s1), f32x4.add(s2, s3)), zero(), zero(), zero());
}

/** Two rows of a, and x . x in the third lane if `squares`; what the rows give is the same either way, to the bit. */
// @ts-ignore: decorator
@inline
function tile2(a: usize, x: usize, n: i32, squares: bool): v128 {
  let b = rowEnd(a, n);
  let s0 = zero(), s1 = zero(), t0 = zero(), t1 = zero(), p = zero(), q = zero();
  const unrolled = wholeEnd(x, n, 4), whole = wholeEnd(x, n, 1), end = rowEnd(x, n);
  if (x < unrolled) do {
    let v = v128.load(x);
    if (squares) p = madd(v, v, p);
    s0 = madd(v128.load(a), v, s0);
    t0 = madd(v128.load(b), v, t0);
    v = v128.load(x, 16);
    if (squares) q = madd(v, v, q);
    s1 = madd(v128.load(a, 16), v, s1);
    t1 = madd(v128.load(b, 16), v, t1);
    v = v128.load(x, 32);
    if (squares) p = madd(v, v, p);
    s0 = madd(v128.load(a, 32), v, s0);
    t0 = madd(v128.load(b, 32), v, t0);
    v = v128.load(x, 48);
    if (squares) q = madd(v, v, q);
    s1 = madd(v128.load(a, 48), v, s1);
    t1 = madd(v128.load(b, 48), v, t1);
    a += 4 * VECTOR;
    b += 4 * VECTOR;
    x += 4 * VECTOR;
  } while (x < unrolled);
  if (x < whole) do {
    const v = v128.load(x);
    if (squares) p = madd(v, v, p);
    s0 = madd(v128.load(a), v, s0);
    t0 = madd(v128.load(b), v, t0);
    a += VECTOR;
    b += VECTOR;
    x += VECTOR;
  } while (x < whole);
  if (x < end) do {
    const v = v128.load32_zero(x);
    if (squares) q = madd(v, v, q);
    s1 = madd(v128.load32_zero(a), v, s1);
    t1 = madd(v128.load32_zero(b), v, t1);
    a += FLOAT;
    b += FLOAT;
    x += FLOAT;
  } while (x < end);
  return sums(f32x4.add(s0, s1), f32x4.add(t0, t1), f32x4.add(p, q), zero());
}

function dot2(a: usize, x: usize, n: i32): v128 { return tile2(a, x, n, false); }

/** A fused add waits longer for the one before it: two sets of sums hide that, where one set leaves room to unroll. */
const DOT4_VECTORS: i32 = ASC_FEATURE_RELAXED_SIMD ? 2 : 4;

export function dot4(a: usize, x: usize, n: i32): v128 {
  let b = rowEnd(a, n), c = rowEnd(b, n), d = rowEnd(c, n);
  let sa = zero(), sb = zero(), sc = zero(), sd = zero();
  let ta = zero(), tb = zero(), tc = zero(), td = zero();
  const unrolled = wholeEnd(x, n, DOT4_VECTORS), whole = wholeEnd(x, n, 1), end = rowEnd(x, n);
  if (x < unrolled) do {
    let v = v128.load(x);
    sa = madd(v128.load(a), v, sa);
    sb = madd(v128.load(b), v, sb);
    sc = madd(v128.load(c), v, sc);
    sd = madd(v128.load(d), v, sd);
    v = v128.load(x, 16);
    if (ASC_FEATURE_RELAXED_SIMD) {
      ta = madd(v128.load(a, 16), v, ta);
      tb = madd(v128.load(b, 16), v, tb);
      tc = madd(v128.load(c, 16), v, tc);
      td = madd(v128.load(d, 16), v, td);
    } else {
      sa = madd(v128.load(a, 16), v, sa);
      sb = madd(v128.load(b, 16), v, sb);
      sc = madd(v128.load(c, 16), v, sc);
      sd = madd(v128.load(d, 16), v, sd);
      v = v128.load(x, 32);
      sa = madd(v128.load(a, 32), v, sa);
      sb = madd(v128.load(b, 32), v, sb);
      sc = madd(v128.load(c, 32), v, sc);
      sd = madd(v128.load(d, 32), v, sd);
      v = v128.load(x, 48);
      sa = madd(v128.load(a, 48), v, sa);
      sb = madd(v128.load(b, 48), v, sb);
      sc = madd(v128.load(c, 48), v, sc);
      sd = madd(v128.load(d, 48), v, sd);
    }
    a += DOT4_VECTORS * VECTOR;
    b += DOT4_VECTORS * VECTOR;
    c += DOT4_VECTORS * VECTOR;
    d += DOT4_VECTORS * VECTOR;
    x += DOT4_VECTORS * VECTOR;
  } while (x < unrolled);
  if (x < whole) do {
    const v = v128.load(x);
    sa = madd(v128.load(a), v, sa);
    sb = madd(v128.load(b), v, sb);
    sc = madd(v128.load(c), v, sc);
    sd = madd(v128.load(d), v, sd);
    a += VECTOR;
    b += VECTOR;
    c += VECTOR;
    d += VECTOR;
    x += VECTOR;
  } while (x < whole);
  if (x < end) do {
    const v = v128.load32_zero(x);
    ta = madd(v128.load32_zero(a), v, ta);
    tb = madd(v128.load32_zero(b), v, tb);
    tc = madd(v128.load32_zero(c), v, tc);
    td = madd(v128.load32_zero(d), v, td);
    a += FLOAT;
    b += FLOAT;
    c += FLOAT;
    d += FLOAT;
    x += FLOAT;
  } while (x < end);
  return sums(f32x4.add(sa, ta), f32x4.add(sb, tb), f32x4.add(sc, tc), f32x4.add(sd, td));
}

/** u = x A for any number of rows: tiles of 4, then what is left. Returns whether every u is finite. */
export function project(a: usize, x: usize, u: usize, rows: i32, n: i32): bool {
  let finite = true;
  while (rows >= 4) {
    const s = dot4(a, x, n);
    v128.store(u, s);
    finite = finite && allFinite(s);
    a += <usize>n << 4;
    u += VECTOR;
    rows -= 4;
  }
  if (rows & 2) {
    const s = dot2(a, x, n);
    v128.store64_lane(u, s, 0);
    finite = finite && allFinite(s);
    a += <usize>n << 3;
    u += 2 * FLOAT;
  }
  if (rows & 1) {
    const s = dot1(a, x, n);
    v128.store32_lane(u, s, 0);
    finite = finite && allFinite(s);
  }
  return finite;
}

/** u = x A and sum x^2, at rank 2 in one pass. */
export function projectWithSquares(a: usize, x: usize, u: usize, squares: usize, rows: i32, n: i32): void {
  if (rows == 2) {
    const s = tile2(a, x, n, true);
    v128.store64_lane(u, s, 0);
    v128.store32_lane(squares, s, 2);
  } else {
    project(a, x, u, rows, n);
    v128.store32_lane(squares, dot1(x, x, n), 0);
  }
}
