// Updates of one row of parameters whose gradient is a coefficient c times a vector x, never materialised.
// With c = 1 the same code serves plain vectors. All arrays share one running offset: with several of them written,
// V8 spills pointers that are each bumped.

import { FLOAT, VECTOR, load, madd, nmadd, rowEnd, store, wholeEnd } from "./lanes";

/** running <- decay * running + (root * x)^2, where root = sqrt(1 - decay) * c. */
// @ts-ignore: decorator
@inline
function track(running: usize, x: v128, root: v128, decay: v128, wide: bool): void {
  const g = f32x4.mul(root, x);
  store(running, madd(g, g, f32x4.mul(decay, load(running, wide))), wide);
}

/** w <- w - rate * x. */
// @ts-ignore: decorator
@inline
function descend(w: usize, x: v128, rate: v128, wide: bool): void {
  store(w, nmadd(rate, x, load(w, wide)), wide);
}

/** w <- w - rate * x - min(penalty * fisher, 1) * (w - anchor). */
// @ts-ignore: decorator
@inline
function descendEwc(w: usize, x: v128, rate: v128, fisher: usize, anchor: usize, penalty: v128, wide: bool): void {
  const old = load(w, wide);
  const pull = f32x4.pmin(f32x4.splat(1), f32x4.mul(penalty, load(fisher, wide)));
  store(w, nmadd(pull, f32x4.sub(old, load(anchor, wide)), nmadd(rate, x, old)), wide);
}

/** w <- w - rate * x, where rate holds c. */
export function updateRow(w: usize, x: usize, n: i32, rate: f32): void {
  const k = f32x4.splat(rate);
  const unrolled = wholeEnd(0, n, 4), whole = wholeEnd(0, n, 1), end = rowEnd(0, n);
  let i: usize = 0;
  if (i < unrolled) do {
    const wi = w + i, xi = x + i;
    descend(wi, v128.load(xi), k, true);
    descend(wi + 16, v128.load(xi, 16), k, true);
    descend(wi + 32, v128.load(xi, 32), k, true);
    descend(wi + 48, v128.load(xi, 48), k, true);
    i += 4 * VECTOR;
  } while (i < unrolled);
  if (i < whole) do {
    descend(w + i, v128.load(x + i), k, true);
    i += VECTOR;
  } while (i < whole);
  if (i < end) do {
    descend(w + i, load(x + i, false), k, false);
    i += FLOAT;
  } while (i < end);
}

/** As `updateRow`, with the running Fisher information. */
export function updateRowTracked(
  w: usize, x: usize, n: i32, rate: f32, running: usize, root: f32, decay: f32,
): void {
  const k = f32x4.splat(rate), s = f32x4.splat(root), d = f32x4.splat(decay);
  const unrolled = wholeEnd(0, n, 2), end = rowEnd(0, n);
  let i: usize = 0;
  if (i < unrolled) do {
    const wi = w + i, xi = x + i, ri = running + i;
    const v0 = v128.load(xi);
    descend(wi, v0, k, true);
    track(ri, v0, s, d, true);
    const v1 = v128.load(xi, 16);
    descend(wi + 16, v1, k, true);
    track(ri + 16, v1, s, d, true);
    i += 2 * VECTOR;
  } while (i < unrolled);
  if (i < end) do {
    const v = load(x + i, false);
    descend(w + i, v, k, false);
    track(running + i, v, s, d, false);
    i += FLOAT;
  } while (i < end);
}

/** As `updateRow`, with the penalty for leaving the anchor. */
export function updateRowEwc(
  w: usize, x: usize, n: i32, rate: f32, fisher: usize, anchor: usize, penalty: f32,
): void {
  const k = f32x4.splat(rate), p = f32x4.splat(penalty);
  const unrolled = wholeEnd(0, n, 2), end = rowEnd(0, n);
  let i: usize = 0;
  if (i < unrolled) do {
    const wi = w + i, xi = x + i, fi = fisher + i, ai = anchor + i;
    descendEwc(wi, v128.load(xi), k, fi, ai, p, true);
    descendEwc(wi + 16, v128.load(xi, 16), k, fi + 16, ai + 16, p, true);
    i += 2 * VECTOR;
  } while (i < unrolled);
  if (i < end) do {
    descendEwc(w + i, load(x + i, false), k, fisher + i, anchor + i, p, false);
    i += FLOAT;
  } while (i < end);
}

/** As `updateRow`, with both. */
export function updateRowTrackedEwc(
  w: usize, x: usize, n: i32, rate: f32,
  running: usize, root: f32, decay: f32, fisher: usize, anchor: usize, penalty: f32,
): void {
  const k = f32x4.splat(rate), s = f32x4.splat(root), d = f32x4.splat(decay), p = f32x4.splat(penalty);
  const unrolled = wholeEnd(0, n, 2), end = rowEnd(0, n);
  let i: usize = 0;
  if (i < unrolled) do {
    const wi = w + i, xi = x + i, ri = running + i, fi = fisher + i, ai = anchor + i;
    const v0 = v128.load(xi);
    descendEwc(wi, v0, k, fi, ai, p, true);
    track(ri, v0, s, d, true);
    const v1 = v128.load(xi, 16);
    descendEwc(wi + 16, v1, k, fi + 16, ai + 16, p, true);
    track(ri + 16, v1, s, d, true);
    i += 2 * VECTOR;
  } while (i < unrolled);
  if (i < end) do {
    const v = load(x + i, false);
    descendEwc(w + i, v, k, fisher + i, anchor + i, p, false);
    track(running + i, v, s, d, false);
    i += FLOAT;
  } while (i < end);
}

/** The running Fisher information alone. */
export function trackRow(running: usize, x: usize, n: i32, root: f32, decay: f32): void {
  const s = f32x4.splat(root), d = f32x4.splat(decay);
  const unrolled = wholeEnd(0, n, 2), end = rowEnd(0, n);
  let i: usize = 0;
  if (i < unrolled) do {
    const ri = running + i, xi = x + i;
    track(ri, v128.load(xi), s, d, true);
    track(ri + 16, v128.load(xi, 16), s, d, true);
    i += 2 * VECTOR;
  } while (i < unrolled);
  if (i < end) do {
    track(running + i, load(x + i, false), s, d, false);
    i += FLOAT;
  } while (i < end);
}
