/** A source of numbers in [0, 1): mulberry32. */
export function uniformFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** Float32 values in [-size, size), the same ones for the same seed. */
export function floats(length: number, seed: number, size = 1): Float32Array {
  const uniform = uniformFrom(seed);
  return Float32Array.from({ length }, () => (uniform() * 2 - 1) * size);
}

/** `base` with one element replaced. */
export function withElement(base: Float32Array, index: number, value: number): Float32Array {
  const copy = base.slice();
  copy[index] = value;
  return copy;
}
