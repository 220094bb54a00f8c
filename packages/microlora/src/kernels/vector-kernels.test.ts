import { describe, expect, test } from "vitest";
import { exactProjection } from "./adapter-kernels.test-support.js";
import { exact, expectWithin, IMPLEMENTATIONS, RANKS, range, SIZES } from "./kernels.test-support.js";

const LENGTHS = [0, 2, ...SIZES, 1023];
const SHIFTS = [0, 1, 2, 3];

describe.each(IMPLEMENTATIONS)("vector kernels: $name", ({ arena, kernels }) => {
  test("project and expandAdd", () => {
    for (const rows of [...RANKS, 6, 7]) {
      for (const n of LENGTHS) {
        arena.clear();
        const [matrix, x, c] = [arena.random(rows * n), arena.random(n), arena.random(rows)];
        const [matrixAt, xAt, cAt] = [arena.place(matrix, n), arena.place(x, n + 1), arena.place(c, n + 2)];
        const u = arena.place(new Float32Array(rows), rows);
        arena.writesOnly([[u, rows]], () => kernels.project(matrixAt, xAt, u, rows, n));
        expectWithin(arena.read(u, rows), exactProjection(matrix, 0, x, rows), n);
        arena.writesOnly([[xAt, n]], () => kernels.expandAdd(cAt, matrixAt, xAt, rows, n));
        const added = Array.from(x, (xi, i) => exact([xi, ...range(rows).map((j) => c[j]! * matrix[j * n + i]!)]));
        expectWithin(arena.read(xAt, n), added, rows);
      }
    }
  });

  test("merge", () => {
    for (const rank of RANKS) {
      for (const cols of SIZES) {
        arena.clear();
        const [rows, stride, scaling] = [5, 11, -0.4];
        const [y, coef, basis] = [arena.random(rows * cols), arena.random(rank * stride), arena.random(rank * cols)];
        const [yAt, basisAt] = [arena.place(y, cols), arena.place(basis, cols + 2)];
        const coefAt = arena.place(coef, rank) + 4 * 3;
        arena.writesOnly([[yAt, rows * cols]], () =>
          kernels.merge(yAt, rows, cols, coefAt, stride, basisAt, rank, scaling),
        );
        const merged = Array.from(y, (old, k) => {
          const [i, column] = [Math.floor(k / cols), k % cols];
          return exact([
            old,
            ...range(rank).map((r) => scaling * coef[3 + r * stride + i]! * basis[r * cols + column]!),
          ]);
        });
        expectWithin(arena.read(yAt, rows * cols), merged, rank);
      }
    }
  });

  test("apply, applyEwc and updateFisher", () => {
    for (const n of LENGTHS) {
      for (const shift of SHIFTS) {
        arena.clear();
        const [w, g, anchor] = [arena.random(n), arena.random(n), arena.random(n)];
        const fisher = arena.random(n).map(Math.abs);
        const [wAt, gAt] = [arena.place(w, shift), arena.place(g, shift + 1)];
        const [fisherAt, anchorAt] = [arena.place(fisher, shift + 2), arena.place(anchor, shift + 3)];
        arena.writesOnly([[wAt, n]], () => kernels.apply(wAt, gAt, n, 0.3));
        expectWithin(
          arena.read(wAt, n),
          Array.from(w, (old, i) => exact([old, -0.3 * g[i]!])),
          2,
        );
        arena.f32.set(w, wAt / 4);
        arena.writesOnly([[wAt, n]], () => kernels.applyEwc(wAt, gAt, fisherAt, anchorAt, n, 0.3, 0.7));
        const pulled = Array.from(w, (old, i) => {
          const pull = 0.7 * fisher[i]!;
          return exact([old, -0.3 * g[i]!, -pull * old, pull * anchor[i]!]);
        });
        expectWithin(arena.read(wAt, n), pulled, 4);
        arena.writesOnly([[fisherAt, n]], () => kernels.updateFisher(fisherAt, gAt, n, 0.995));
        const tracked = Array.from(fisher, (old, i) => exact([0.995 * old, (1 - 0.995) * g[i]! ** 2]));
        expectWithin(arena.read(fisherAt, n), tracked, 2);
      }
    }
  });

  test("sumSquares and maxAbs", () => {
    for (const n of LENGTHS) {
      for (const shift of SHIFTS) {
        arena.clear();
        const x = arena.random(n);
        const xAt = arena.place(x, shift);
        const sum = arena.writesOnly([], () => kernels.sumSquares(xAt, n));
        expectWithin([sum], [exact(Array.from(x, (value) => value ** 2))], n);
        const max = arena.writesOnly([], () => kernels.maxAbs(xAt, n));
        expect(max).toBe(Array.from(x, Math.abs).reduce((a, b) => Math.max(a, b), 0));
      }
    }
  });

  test("maxAbs shows what is not finite, wherever it is", () => {
    for (const n of [1, 3, 8, 13, 33]) {
      for (const place of range(n)) {
        arena.clear();
        const xAt = arena.place(arena.random(n), n);
        arena.f32[xAt / 4 + place] = Number.NEGATIVE_INFINITY;
        expect(kernels.maxAbs(xAt, n)).toBe(Number.POSITIVE_INFINITY);
        arena.f32[xAt / 4 + ((place + 1) % n)] = Number.NaN;
        expect(kernels.maxAbs(xAt, n)).toBeNaN();
      }
    }
  });

  test("fingerprint depends on every bit, its place and the length, and not on the address", () => {
    for (const n of [1, 3, 4, 5, 8, 17]) {
      arena.clear();
      const xAt = arena.place(arena.random(n));
      const moved = arena.place(arena.read(xAt, n), 1);
      const original = arena.writesOnly([], () => kernels.fingerprint(xAt, n));
      expect(kernels.fingerprint(moved, n)).toBe(original);
      expect(kernels.fingerprint(xAt, n - 1)).not.toBe(original);
      for (const bit of range(32 * n)) {
        const word = xAt / 4 + (bit >> 5);
        arena.u32[word]! ^= 1 << (bit & 31);
        expect(kernels.fingerprint(xAt, n)).not.toBe(original);
        arena.u32[word]! ^= 1 << (bit & 31);
      }
      for (const i of range(n - 1)) {
        const pair = arena.read(xAt + 4 * i, 2);
        arena.f32.set([pair[1]!, pair[0]!], xAt / 4 + i);
        expect(kernels.fingerprint(xAt, n)).not.toBe(original);
        arena.f32.set(pair, xAt / 4 + i);
      }
    }
  });
});

test("the fingerprint is the same on every implementation", () => {
  for (const n of LENGTHS) {
    const hashes = IMPLEMENTATIONS.map(({ arena, kernels }) => {
      arena.clear();
      return kernels.fingerprint(arena.place(range(n).map(Math.sin)), n);
    });
    expect(new Set(hashes).size).toBe(1);
  }
});
