// Updates of one row of parameters whose gradient is a coefficient times a vector: w -= rate * c * x and so on.
// With c = 1 the same code serves plain vectors.

import { FLOAT, VECTOR, load, madd, nmadd, rowEnd, store, wholeEnd } from "./lanes";

/** running <- decay * running + (root * x)^2, where root = sqrt(1 - decay) * c. */
// @ts-ignore: decorator
@inline
function track(running: usize, x: v128, root: v128, decay: v128, wide: bool): void {
  const g = f32x4.mul(root, x);
  store(running, madd(g, g, f32x4.mul(decay, load(running, wide))), wide);
}

/** w <- w - k * x. */
// @ts-ignore: decorator
@inline
function descend(w: usize, x: v128, k: v128, wide: bool, offset: usize): void {
  store(w, nmadd(k, x, load(w, wide, offset)), wide, offset);
}

/** w <- w - k * x - penalty * fisher * (w - anchor). */
// @ts-ignore: decorator
@inline
function descendEwc(w: usize, x: v128, k: v128, fisher: usize, anchor: usize, penalty: v128, wide: bool): void {
  const old = load(w, wide);
  const pull = f32x4.mul(penalty, load(fisher, wide));
  store(w, nmadd(pull, f32x4.sub(old, load(anchor, wide)), nmadd(k, x, old)), wide);
}

export function rowPlain(w: usize, x: usize, n: i32, rate: f32): void {
  const k = f32x4.splat(rate);
  const unrolled = wholeEnd(x, n, 4), whole = wholeEnd(x, n, 1), end = rowEnd(x, n);
  if (x < unrolled) do {
    descend(w, v128.load(x), k, true, 0);
    descend(w, v128.load(x, 16), k, true, 16);
    descend(w, v128.load(x, 32), k, true, 32);
    descend(w, v128.load(x, 48), k, true, 48);
    w += 4 * VECTOR;
    x += 4 * VECTOR;
  } while (x < unrolled);
  if (x < whole) do {
    descend(w, v128.load(x), k, true, 0);
    w += VECTOR;
    x += VECTOR;
  } while (x < whole);
  if (x < end) do {
    descend(w, load(x, false), k, false, 0);
    w += FLOAT;
    x += FLOAT;
  } while (x < end);
}

export function rowTracked(w: usize, x: usize, n: i32, rate: f32, running: usize, root: f32, decay: f32): void {
  const k = f32x4.splat(rate), s = f32x4.splat(root), d = f32x4.splat(decay);
  const whole = wholeEnd(x, n, 1), end = rowEnd(x, n);
  if (x < whole) do {
    const v = v128.load(x);
    descend(w, v, k, true, 0);
    track(running, v, s, d, true);
    w += VECTOR;
    x += VECTOR;
    running += VECTOR;
  } while (x < whole);
  if (x < end) do {
    const v = load(x, false);
    descend(w, v, k, false, 0);
    track(running, v, s, d, false);
    w += FLOAT;
    x += FLOAT;
    running += FLOAT;
  } while (x < end);
}

export function rowEwc(w: usize, x: usize, n: i32, rate: f32, fisher: usize, anchor: usize, penalty: f32): void {
  const k = f32x4.splat(rate), p = f32x4.splat(penalty);
  const whole = wholeEnd(x, n, 1), end = rowEnd(x, n);
  if (x < whole) do {
    descendEwc(w, v128.load(x), k, fisher, anchor, p, true);
    w += VECTOR;
    x += VECTOR;
    fisher += VECTOR;
    anchor += VECTOR;
  } while (x < whole);
  if (x < end) do {
    descendEwc(w, load(x, false), k, fisher, anchor, p, false);
    w += FLOAT;
    x += FLOAT;
    fisher += FLOAT;
    anchor += FLOAT;
  } while (x < end);
}

export function rowTrackedEwc(
  w: usize, x: usize, n: i32, rate: f32,
  running: usize, root: f32, decay: f32, fisher: usize, anchor: usize, penalty: f32,
): void {
  const k = f32x4.splat(rate), s = f32x4.splat(root), d = f32x4.splat(decay), p = f32x4.splat(penalty);
  const whole = wholeEnd(x, n, 1), end = rowEnd(x, n);
  if (x < whole) do {
    const v = v128.load(x);
    descendEwc(w, v, k, fisher, anchor, p, true);
    track(running, v, s, d, true);
    w += VECTOR;
    x += VECTOR;
    running += VECTOR;
    fisher += VECTOR;
    anchor += VECTOR;
  } while (x < whole);
  if (x < end) do {
    const v = load(x, false);
    descendEwc(w, v, k, fisher, anchor, p, false);
    track(running, v, s, d, false);
    w += FLOAT;
    x += FLOAT;
    running += FLOAT;
    fisher += FLOAT;
    anchor += FLOAT;
  } while (x < end);
}

export function trackRow(running: usize, x: usize, n: i32, root: f32, decay: f32): void {
  const s = f32x4.splat(root), d = f32x4.splat(decay);
  const whole = wholeEnd(x, n, 1), end = rowEnd(x, n);
  if (x < whole) do {
    track(running, v128.load(x), s, d, true);
    x += VECTOR;
    running += VECTOR;
  } while (x < whole);
  if (x < end) do {
    track(running, load(x, false), s, d, false);
    x += FLOAT;
    running += FLOAT;
  } while (x < end);
}
