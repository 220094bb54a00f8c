// The kernels of optimisers and of path scores, a module of their own, which only those load who use them. Each works on
// one row of parameters whose gradient is a factor times a vector x, never materialised.

import { FLOAT, VECTOR, load, madd, nmadd, rowEnd, store, wholeEnd } from "./lanes";

/** What is too small for a normal float32 becomes 0, so that a state which decays ends there and not among denormals. */
// @ts-ignore: decorator
@inline
function flushed(v: v128): v128 {
  return v128.and(v, f32x4.ge(f32x4.abs(v), f32x4.splat(f32.MIN_NORMAL_VALUE)));
}

// @ts-ignore: decorator
@inline
function momentumAt(w: usize, m: usize, x: usize, factor: v128, beta: v128, rate: v128, wide: bool): void {
  const moved = flushed(madd(beta, load(m, wide), f32x4.mul(factor, load(x, wide))));
  store(m, moved, wide);
  store(w, nmadd(rate, moved, load(w, wide)), wide);
}

export function momentum(w: usize, m: usize, x: usize, n: i32, factor: f64, beta: f64, rate: f64): void {
  const f = f32x4.splat(<f32>factor), b = f32x4.splat(<f32>beta), k = f32x4.splat(<f32>rate);
  const unrolled = wholeEnd(0, n, 2), end = rowEnd(0, n);
  let i: usize = 0;
  if (i < unrolled) do {
    momentumAt(w + i, m + i, x + i, f, b, k, true);
    momentumAt(w + i + 16, m + i + 16, x + i + 16, f, b, k, true);
    i += 2 * VECTOR;
  } while (i < unrolled);
  if (i < end) do {
    momentumAt(w + i, m + i, x + i, f, b, k, false);
    i += FLOAT;
  } while (i < end);
}

// @ts-ignore: decorator
@inline
function adamAt(
  w: usize, m: usize, s: usize, x: usize,
  f: v128, b1: v128, c1: v128, b2: v128, c2: v128, k: v128, root: v128, eps: v128, keep: v128, wide: bool,
): void {
  const g = f32x4.mul(f, load(x, wide));
  const first = flushed(madd(b1, load(m, wide), f32x4.mul(c1, g)));
  const second = flushed(madd(b2, load(s, wide), f32x4.mul(f32x4.mul(c2, g), g)));
  store(m, first, wide);
  store(s, second, wide);
  const direction = f32x4.div(first, madd(root, f32x4.sqrt(second), eps));
  store(w, nmadd(k, direction, f32x4.mul(keep, load(w, wide))), wide);
}

export function adam(
  w: usize, m: usize, s: usize, x: usize, n: i32, factor: f64,
  beta1: f64, beta2: f64, rate: f64, root: f64, epsilon: f64, keep: f64,
): void {
  const f = f32x4.splat(<f32>factor), k = f32x4.splat(<f32>rate), r = f32x4.splat(<f32>root);
  const b1 = f32x4.splat(<f32>beta1), c1 = f32x4.splat(<f32>(1 - beta1));
  const b2 = f32x4.splat(<f32>beta2), c2 = f32x4.splat(<f32>(1 - beta2));
  const eps = f32x4.splat(<f32>epsilon), kept = f32x4.splat(<f32>keep);
  const whole = wholeEnd(0, n, 1), end = rowEnd(0, n);
  let i: usize = 0;
  if (i < whole) do {
    adamAt(w + i, m + i, s + i, x + i, f, b1, c1, b2, c2, k, r, eps, kept, true);
    i += VECTOR;
  } while (i < whole);
  if (i < end) do {
    adamAt(w + i, m + i, s + i, x + i, f, b1, c1, b2, c2, k, r, eps, kept, false);
    i += FLOAT;
  } while (i < end);
}

// @ts-ignore: decorator
@inline
function walkAt(score: usize, fisher: usize, w: usize, old: usize, x: usize, f: v128, eps: v128, wide: bool): void {
  const moved = f32x4.sub(load(w, wide), load(old, wide));
  const gain = f32x4.pmax(f32x4.splat(0), f32x4.mul(f32x4.mul(f, load(x, wide)), moved));
  const cost = madd(f32x4.mul(f32x4.mul(f32x4.splat(0.5), load(fisher, wide)), moved), moved, eps);
  store(score, f32x4.add(load(score, wide), f32x4.div(gain, cost)), wide);
}

export function walk(
  score: usize, fisher: usize, w: usize, old: usize, x: usize, n: i32, factor: f64, epsilon: f64,
): void {
  const f = f32x4.splat(<f32>-factor), eps = f32x4.splat(<f32>epsilon);
  const whole = wholeEnd(0, n, 1), end = rowEnd(0, n);
  let i: usize = 0;
  if (i < whole) do {
    walkAt(score + i, fisher + i, w + i, old + i, x + i, f, eps, true);
    i += VECTOR;
  } while (i < whole);
  if (i < end) do {
    walkAt(score + i, fisher + i, w + i, old + i, x + i, f, eps, false);
    i += FLOAT;
  } while (i < end);
}

export function multiply(y: usize, a: usize, b: usize, n: i32): void {
  const whole = wholeEnd(0, n, 1), end = rowEnd(0, n);
  let i: usize = 0;
  if (i < whole) do {
    store(y + i, f32x4.mul(load(a + i, true), load(b + i, true)), true);
    i += VECTOR;
  } while (i < whole);
  if (i < end) do {
    store(y + i, f32x4.mul(load(a + i, false), load(b + i, false)), false);
    i += FLOAT;
  } while (i < end);
}
