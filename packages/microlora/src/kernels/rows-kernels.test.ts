import { describe, expect, test } from "vitest";
import { floats } from "../base/samples.test-support.js";
import { KERNELS_NAMES } from "./contract.js";
import { rowKernelsOf } from "./rows-load.js";
import { Runtime } from "./runtime.js";

const WIDTHS = [8, 16, 24, 64, 256, 384];

/** Sums of n float32 products, in any order, are this near to the sum in float64. */
const within = (n: number, magnitude: number) => 2 ** -22 * (n + 4) * magnitude;

/** The nearest integers; both where a value lies so near a half that float32 may round it either way. */
function nearest(value: number): number[] {
  const floor = Math.floor(value);
  return Math.abs(value - floor - 0.5) < 1e-3 * (1 + Math.abs(value)) ? [floor, floor + 1] : [Math.round(value)];
}

describe.each(KERNELS_NAMES)("row kernels: %s", async (name) => {
  const runtime = await Runtime.create({ kernels: name, memoryBytes: 2 ** 20 });
  const kernels = rowKernelsOf(runtime);
  const { buffer, f32 } = runtime;
  const GUARD = 77;

  /** A block with guard bytes on both sides. */
  const block = (bytes: number) => {
    const at = runtime.allocate(Math.ceil(bytes / 4) + 8);
    new Uint8Array(buffer, at, bytes + 32).fill(GUARD);
    const isWhole = () =>
      [...new Uint8Array(buffer, at, 16), ...new Uint8Array(buffer, at + 16 + bytes, 16)].every((b) => b === GUARD);
    return { at: at + 16, isWhole, free: () => runtime.free(at) };
  };

  test.each(WIDTHS)("a key of width %i is the nearest int8, and projects as it is", (n) => {
    const rows = 5;
    const [keys, scales, x, u] = [block(rows * n), block(4 * rows), block(4 * n), block(4 * rows)];
    const vectors = Array.from({ length: rows }, (_, j) => floats(n, j, 10 ** (j - 2)));
    for (const [j, vector] of vectors.entries()) {
      f32.set(vector, x.at / 4);
      const scale = kernels.writeKey(keys.at + j * n, x.at, n);
      f32[scales.at / 4 + j] = scale;
      const most = Math.max(...vector.map(Math.abs));
      expect(scale).toBe(Math.fround(most / 127));
      const codes = new Int8Array(buffer, keys.at + j * n, n);
      for (const [i, value] of vector.entries()) expect(nearest(value / scale)).toContain(codes[i]);
      expect(Math.max(...codes.map(Math.abs))).toBe(127);
    }
    const query = floats(n, 99);
    f32.set(query, x.at / 4);
    kernels.projectKeys(keys.at, scales.at, x.at, u.at, rows, n);
    for (let j = 0; j < rows; j++) {
      const codes = new Int8Array(buffer, keys.at + j * n, n);
      const scale = f32[scales.at / 4 + j]!;
      const sum = query.reduce((total, q, i) => total + scale * codes[i]! * q, 0);
      const magnitude = query.reduce((total, q, i) => total + Math.abs(scale * codes[i]! * q), 0);
      expect(Math.abs(f32[u.at / 4 + j]! - sum)).toBeLessThan(within(n, magnitude));
    }
    for (const each of [keys, scales, x, u]) {
      expect(each.isWhole()).toBe(true);
      each.free();
    }
  });

  test.each(WIDTHS)("a value of width %i is added, and moved to the nearest int16 within its length", (n) => {
    const [value, y, g] = [block(2 * n), block(4 * n), block(4 * n)];
    const codes = new Int16Array(buffer, value.at, n);
    for (const [keep, step, most] of [
      [1, -30, 1e9],
      [0.9, 500, 1e9],
      [0.5, 2000, 900],
      [1, 1e7, 1e9],
      [0, 0, 5],
    ] as const) {
      codes.set(Int16Array.from(floats(n, 3, 20_000)));
      const start = floats(n, 4, 3);
      f32.set(start, y.at / 4);
      kernels.addValue(value.at, y.at, n, 0.01);
      for (const [i, code] of codes.entries()) expect(f32[y.at / 4 + i]).toBeCloseTo(start[i]! + 0.01 * code, 3);
      const gradient = floats(n, 5);
      f32.set(gradient, g.at / 4);
      const wanted = Array.from(codes, (code, i) => keep * code + step * gradient[i]!);
      const length = Math.hypot(...wanted);
      const shorter = Math.min(1, most / length);
      expect(kernels.moveValue(value.at, g.at, n, keep, step, most)).toBe(1);
      for (const [i, code] of codes.entries()) {
        const exact = Math.max(-32_768, Math.min(32_767, shorter * wanted[i]!));
        expect(Math.abs(code - exact)).toBeLessThan(0.5 + 1e-6 * (Math.abs(wanted[i]!) + length));
      }
    }
    for (const each of [value, y, g]) expect(each.isWhole()).toBe(true);
    for (const each of [value, y, g]) each.free();
  });

  test("halves go to even, and a value whose length is not finite stays", () => {
    const [value, g] = [block(16), block(32)];
    const codes = new Int16Array(buffer, value.at, 8);
    codes.fill(0);
    f32.set([0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49, 0.51], g.at / 4);
    kernels.moveValue(value.at, g.at, 8, 1, 1, 1e9);
    expect([...codes]).toEqual([0, 2, 2, 0, -2, -2, 0, 1]);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, 3e38]) {
      f32.fill(bad, g.at / 4, g.at / 4 + 8);
      expect(kernels.moveValue(value.at, g.at, 8, 1, bad === 3e38 ? 10 : 1, 1e9)).toBe(0);
      expect([...codes]).toEqual([0, 2, 2, 0, -2, -2, 0, 1]);
    }
  });
});
