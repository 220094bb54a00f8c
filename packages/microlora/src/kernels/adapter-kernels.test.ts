import { describe, expect, test } from "vitest";
import { blockLength, CASES, exactDelta, exactProjection, operands, plus } from "./adapter-kernels.test-support.js";
import { exact, expectWithin, IMPLEMENTATIONS, range } from "./kernels.test-support.js";

const SCALING = 0.75;
const BAD = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

describe.each(IMPLEMENTATIONS)("adapter kernels: $name", ({ arena, kernels }) => {
  test("forward overwrites y with scaling * (x A) B + bias, and keeps u = x A", () => {
    for (const shape of CASES) {
      const { values, w, x, u, y } = operands(arena, shape);
      const { rank, inFeatures, outFeatures } = shape;
      const call = () => kernels.forShape(shape).forward(w, x, u, y, SCALING);
      expect(
        arena.writesOnly(
          [
            [u, rank],
            [y, outFeatures],
          ],
          call,
        ),
      ).toBe(1);
      expectWithin(arena.read(u, rank), exactProjection(values.w, 0, values.x, rank), inFeatures);
      expectWithin(arena.read(y, outFeatures), exactDelta(shape, values.w, values.x, SCALING), inFeatures + rank);
    }
  });

  test("forwardAdd adds what forward gives", () => {
    for (const shape of CASES) {
      const { values, w, x, u, y } = operands(arena, shape);
      const { rank, inFeatures, outFeatures } = shape;
      const call = () => kernels.forShape(shape).forwardAdd(w, x, u, y, SCALING);
      expect(
        arena.writesOnly(
          [
            [u, rank],
            [y, outFeatures],
          ],
          call,
        ),
      ).toBe(1);
      expectWithin(arena.read(u, rank), exactProjection(values.w, 0, values.x, rank), inFeatures);
      const delta = exactDelta(shape, values.w, values.x, SCALING);
      expectWithin(
        arena.read(y, outFeatures),
        delta.map((d, i) => plus(d, values.y[i]!)),
        inFeatures + rank,
      );
    }
  });

  test("an input that is not finite is refused, y untouched", () => {
    for (const shape of CASES.filter(({ rank }, i) => rank > 0 && i % 5 === 0)) {
      const { rank, inFeatures } = shape;
      for (const place of [0, inFeatures >> 1, inFeatures - 1]) {
        for (const bad of BAD) {
          const { w, x, u, y } = operands(arena, shape);
          arena.f32[x / 4 + place] = bad;
          const adapter = kernels.forShape(shape);
          expect(arena.writesOnly([[u, rank]], () => adapter.forward(w, x, u, y, SCALING))).toBe(0);
          expect(arena.writesOnly([[u, rank]], () => adapter.forwardAdd(w, x, u, y, SCALING))).toBe(0);
        }
      }
    }
  });

  test("a u that overflows float32 is refused, though x and A are finite", () => {
    const shape = { rank: 3, inFeatures: 9, outFeatures: 5, bias: 0, shift: 0 } as const;
    const { w, x, u, y } = operands(arena, shape);
    arena.f32.fill(3e38, w / 4, w / 4 + 9);
    arena.f32.fill(1, x / 4, x / 4 + 9);
    expect(arena.writesOnly([[u, 3]], () => kernels.forShape(shape).forward(w, x, u, y, SCALING))).toBe(0);
  });

  test("forwardBatch gives every row what forward gives it", () => {
    for (const [i, shape] of CASES.entries()) {
      const { rank, inFeatures, outFeatures } = shape;
      const rows = i % 10;
      const { values, w, x, u, y } = operands(arena, shape, rows);
      const call = () => kernels.forShape(shape).forwardBatch(w, x, u, y, rows, SCALING);
      expect(
        arena.writesOnly(
          [
            [u, rows * rank],
            [y, rows * outFeatures],
          ],
          call,
        ),
      ).toBe(-1);
      for (const row of range(rows)) {
        const xRow = values.x.slice(row * inFeatures, (row + 1) * inFeatures);
        const uRow = arena.read(u + 4 * row * rank, rank);
        const yRow = arena.read(y + 4 * row * outFeatures, outFeatures);
        expectWithin(uRow, exactProjection(values.w, 0, xRow, rank), inFeatures);
        expectWithin(yRow, exactDelta(shape, values.w, xRow, SCALING), inFeatures + rank);
      }
    }
  });

  test("forwardBatch names the first bad row, y untouched", () => {
    for (const shape of CASES.filter(({ rank }, i) => rank > 0 && i % 7 === 0)) {
      const { rank, inFeatures } = shape;
      const rows = 9;
      for (const bad of [0, 2, 3, 5, 8]) {
        const { w, x, u, y } = operands(arena, shape, rows);
        arena.f32[x / 4 + bad * inFeatures + (inFeatures >> 1)] = Number.NaN;
        arena.f32[x / 4 + 8 * inFeatures] = Number.POSITIVE_INFINITY;
        const call = () => kernels.forShape(shape).forwardBatch(w, x, u, y, rows, SCALING);
        expect(arena.writesOnly([[u, rows * rank]], call)).toBe(bad);
      }
    }
  });

  test("forwardEach adds each row's own adapter's delta and skips null", () => {
    for (const shape of CASES) {
      const { rank, inFeatures, outFeatures, shift } = shape;
      const rows = 7;
      const { values, x, u, y } = operands(arena, shape, rows);
      const adapters = range(3).map(() => arena.random(blockLength(shape)));
      const places = adapters.map((adapter, i) => arena.place(adapter, shift + i));
      const chosen = [0, 2, null, 1, 1, null, 0];
      const scalings = range(rows).map((row) => 0.25 * (row + 1));
      const table = arena.place(new Float32Array(2 * rows), shift);
      for (const row of range(rows)) {
        const adapter = chosen[row] as number | null;
        arena.u32[table / 4 + 2 * row] = adapter === null ? 0 : places[adapter]!;
        arena.f32[table / 4 + 2 * row + 1] = scalings[row]!;
      }
      const call = () => kernels.forShape(shape).forwardEach(table, x, u, y, rows);
      expect(
        arena.writesOnly(
          [
            [u, rows * rank],
            [y, rows * outFeatures],
          ],
          call,
        ),
      ).toBe(-1);
      for (const row of range(rows)) {
        const adapter = chosen[row] as number | null;
        const yRow = arena.read(y + 4 * row * outFeatures, outFeatures);
        const old = values.y.slice(row * outFeatures, (row + 1) * outFeatures);
        const uRow = arena.read(u + 4 * row * rank, rank);
        if (adapter === null) {
          expect(yRow).toEqual(old);
          expect(uRow).toEqual(values.u.slice(row * rank, (row + 1) * rank));
          continue;
        }
        const xRow = values.x.slice(row * inFeatures, (row + 1) * inFeatures);
        const delta = exactDelta(shape, adapters[adapter]!, xRow, scalings[row]!);
        expectWithin(uRow, exactProjection(adapters[adapter]!, 0, xRow, rank), inFeatures);
        expectWithin(
          yRow,
          delta.map((d, i) => plus(d, old[i]!)),
          inFeatures + rank,
        );
      }
    }
  });

  test("forwardEach names the first bad row, y untouched, and looks at no row without adapter", () => {
    for (const shape of CASES.filter(({ rank }, i) => rank > 0 && i % 7 === 0)) {
      const rows = 6;
      const { w, x, u, y } = operands(arena, shape, rows);
      const table = arena.place(new Float32Array(2 * rows));
      for (const row of range(rows)) {
        arena.u32[table / 4 + 2 * row] = row === 1 ? 0 : w;
        arena.f32[table / 4 + 2 * row + 1] = SCALING;
      }
      for (const row of [1, 4, 5]) arena.f32[x / 4 + (row + 1) * shape.inFeatures - 1] = Number.NaN;
      const call = () => kernels.forShape(shape).forwardEach(table, x, u, y, rows);
      expect(arena.writesOnly([[u, rows * shape.rank]], call)).toBe(4);
    }
  });

  test("measure gives u = x A, v = g B and the squared norms; with hasU it leaves u", () => {
    for (const shape of CASES) {
      const { values, w, x, g, u, v } = operands(arena, shape);
      const { rank, inFeatures, outFeatures, shift } = shape;
      const norms = arena.place([0, 0], shift);
      const adapter = kernels.forShape(shape);
      const check = () => {
        expectWithin(arena.read(v, rank), exactProjection(values.w, rank * inFeatures, values.g, rank), outFeatures);
        const squares = [values.x, values.g].map((a) => exact(Array.from(a, (value) => value ** 2)));
        expectWithin(arena.read(norms, 2), squares, inFeatures + outFeatures);
      };
      arena.writesOnly(
        [
          [v, rank],
          [norms, 2],
        ],
        () => adapter.measure(w, x, g, u, v, norms, 1),
      );
      check();
      arena.writesOnly(
        [
          [u, rank],
          [v, rank],
          [norms, 2],
        ],
        () => adapter.measure(w, x, g, u, v, norms, 0),
      );
      check();
      expectWithin(arena.read(u, rank), exactProjection(values.w, 0, values.x, rank), inFeatures);
    }
  });

  test("measure lets NaN and Infinity through to the norms", () => {
    for (const shape of CASES.filter((_, i) => i % 11 === 0)) {
      for (const bad of BAD) {
        const { w, x, g, u, v } = operands(arena, shape);
        const norms = arena.place([0, 0]);
        arena.f32[x / 4 + shape.inFeatures - 1] = bad;
        arena.f32[g / 4] = bad;
        kernels.forShape(shape).measure(w, x, g, u, v, norms, 1);
        expect([...arena.read(norms, 2)].some(Number.isFinite)).toBe(false);
      }
    }
  });
});
