// Rows in few bits: keys in int8 with a scale each, values in int16 of one unit. Widths are multiples of 8.

import { VECTOR, allFinite, madd, sums, zero } from "./lanes";

/** 8 codes of one byte as two vectors of floats: the first four, or the last. */
// @ts-ignore: decorator
@inline
function bytes(codes: usize, high: bool): v128 {
  const shorts = i16x8.extend_low_i8x16_s(v128.load64_zero(codes));
  return f32x4.convert_i32x4_s(high ? i32x4.extend_high_i16x8_s(shorts) : i32x4.extend_low_i16x8_s(shorts));
}

/** 8 codes of two bytes as two vectors of floats: the first four, or the last. */
// @ts-ignore: decorator
@inline
function shorts(codes: v128, high: bool): v128 {
  return f32x4.convert_i32x4_s(high ? i32x4.extend_high_i16x8_s(codes) : i32x4.extend_low_i16x8_s(codes));
}

// @ts-ignore: decorator
@inline
function total(a: v128, b: v128): f32 {
  return f32x4.extract_lane(sums(f32x4.add(a, b), zero(), zero(), zero()), 0);
}

export function projectKeys(keys: usize, scales: usize, x: usize, u: usize, rows: i32, n: i32): void {
  for (let j = 0; j < rows; j++) {
    let s0 = zero(), s1 = zero(), at = x;
    const end = keys + n;
    do {
      s0 = madd(bytes(keys, false), v128.load(at), s0);
      s1 = madd(bytes(keys, true), v128.load(at, 16), s1);
      keys += 8;
      at += 2 * VECTOR;
    } while (keys < end);
    f32.store(u, f32.load(scales) * total(s0, s1));
    scales += 4;
    u += 4;
  }
}

export function writeKey(key: usize, x: usize, n: i32): f32 {
  let most = zero(), at = x;
  const end = x + (<usize>n << 2);
  do {
    most = f32x4.max(most, f32x4.abs(v128.load(at)));
    at += VECTOR;
  } while (at < end);
  most = f32x4.max(most, v128.shuffle<f32>(most, most, 2, 3, 0, 1));
  most = f32x4.max(most, v128.shuffle<f32>(most, most, 1, 0, 3, 2));
  const scale: f32 = f32x4.extract_lane(most, 0) / 127;
  const inverse = f32x4.splat(scale > 0 ? <f32>1 / scale : 0);
  at = x;
  do {
    const low = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(at), inverse)));
    const high = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(at, 16), inverse)));
    const words = i16x8.narrow_i32x4_s(low, high);
    v128.store64_lane(key, i8x16.narrow_i16x8_s(words, words), 0);
    key += 8;
    at += 2 * VECTOR;
  } while (at < end);
  return scale;
}

export function addValue(value: usize, y: usize, n: i32, factor: f32): void {
  const f = f32x4.splat(factor);
  const end = y + (<usize>n << 2);
  do {
    const codes = v128.load(value);
    v128.store(y, madd(f, shorts(codes, false), v128.load(y)));
    v128.store(y, madd(f, shorts(codes, true), v128.load(y, 16)), 16);
    value += VECTOR;
    y += 2 * VECTOR;
  } while (y < end);
}

/** keep * code + step * g, in units. */
// @ts-ignore: decorator
@inline
function moved(codes: v128, g: usize, high: bool, keep: v128, step: v128): v128 {
  return madd(step, v128.load(high ? g + VECTOR : g), f32x4.mul(keep, shorts(codes, high)));
}

export function moveValue(value: usize, g: usize, n: i32, keep: f32, step: f32, most: f32): i32 {
  let k = f32x4.splat(keep), s = f32x4.splat(step);
  let s0 = zero(), s1 = zero(), at = value, from = g;
  const end = value + (<usize>n << 1);
  do {
    const codes = v128.load(at);
    const low = moved(codes, from, false, k, s), high = moved(codes, from, true, k, s);
    s0 = madd(low, low, s0);
    s1 = madd(high, high, s1);
    at += VECTOR;
    from += 2 * VECTOR;
  } while (at < end);
  const length: f32 = Mathf.sqrt(total(s0, s1));
  if (!allFinite(f32x4.splat(length))) return 0;
  if (length > most) {
    const shorter = f32x4.splat(most / length);
    k = f32x4.mul(k, shorter);
    s = f32x4.mul(s, shorter);
  }
  at = value;
  from = g;
  do {
    const codes = v128.load(at);
    const low = i32x4.trunc_sat_f32x4_s(f32x4.nearest(moved(codes, from, false, k, s)));
    const high = i32x4.trunc_sat_f32x4_s(f32x4.nearest(moved(codes, from, true, k, s)));
    v128.store(at, i16x8.narrow_i32x4_s(low, high));
    at += VECTOR;
    from += 2 * VECTOR;
  } while (at < end);
  return 1;
}
