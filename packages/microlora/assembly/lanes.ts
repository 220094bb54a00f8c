// Four float32 lanes at a time, and one at a time in lane 0 for what is left of a row.

export const LANES: i32 = 4;
export const VECTOR: usize = 16;
export const FLOAT: usize = 4;

/** c + a * b: fused in the relaxed build, rounded twice in the other. */
// @ts-ignore: decorator
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(c, f32x4.mul(a, b));
}

/** c - a * b. */
// @ts-ignore: decorator
@inline
export function nmadd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_nmadd(a, b, c);
  return f32x4.sub(c, f32x4.mul(a, b));
}

// @ts-ignore: decorator
@inline
export function zero(): v128 {
  return f32x4.splat(0);
}

/** The lane sums of a, b, c and d, in this order. */
// @ts-ignore: decorator
@inline
export function sums(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(v128.shuffle<f32>(a, b, 0, 4, 1, 5), v128.shuffle<f32>(a, b, 2, 6, 3, 7));
  const cd = f32x4.add(v128.shuffle<f32>(c, d, 0, 4, 1, 5), v128.shuffle<f32>(c, d, 2, 6, 3, 7));
  return f32x4.add(v128.shuffle<f64>(ab, cd, 0, 2), v128.shuffle<f64>(ab, cd, 1, 3));
}

/** Whether every lane is finite: only then is v - v zero everywhere. */
// @ts-ignore: decorator
@inline
export function allFinite(v: v128): bool {
  const difference = f32x4.sub(v, v);
  return !v128.any_true(f32x4.ne(difference, difference));
}

/** Where the whole vectors of a row of n elements end. */
// @ts-ignore: decorator
@inline
export function wholeEnd(start: usize, n: i32, vectors: i32): usize {
  return start + ((<usize>n & ~(<usize>(vectors * LANES) - 1)) << 2);
}

// @ts-ignore: decorator
@inline
export function rowEnd(start: usize, n: i32): usize {
  return start + (<usize>n << 2);
}

/** Four elements, or one in lane 0 and zeros. */
// @ts-ignore: decorator
@inline
export function load(pointer: usize, wide: bool, offset: usize = 0): v128 {
  if (wide) return v128.load(pointer + offset);
  return v128.load32_zero(pointer + offset);
}

// @ts-ignore: decorator
@inline
export function store(pointer: usize, v: v128, wide: bool, offset: usize = 0): void {
  if (wide) v128.store(pointer + offset, v);
  else v128.store32_lane(pointer + offset, v, 0);
}
