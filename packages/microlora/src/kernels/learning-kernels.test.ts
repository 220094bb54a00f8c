import { describe, expect, test } from "vitest";
import { KERNELS_NAMES } from "./contract.js";
import { exact, expectWithin, range, SIZES } from "./kernels.test-support.js";
import { learningKernelsOf } from "./learning-load.js";
import { Runtime } from "./runtime.js";

const LENGTHS = [0, 2, ...SIZES];

/** Uniform in [-1, 1), the same sequence in every run. */
function sequence(): (length: number) => Float32Array {
  let state = 1;
  return (length) =>
    Float32Array.from({ length }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      return state / 2 ** 31;
    });
}

describe.each(KERNELS_NAMES)("learning kernels: %s", async (name) => {
  const runtime = await Runtime.create({ kernels: name, memoryBytes: 2 ** 20 });
  const kernels = learningKernelsOf(runtime);
  const block = runtime.allocate(8192);

  /** Values at addresses that are no multiple of 16 bytes, with NaN between them. */
  function placed(...arrays: Float32Array[]): number[] {
    runtime.f32.fill(Number.NaN, block >>> 2, (block >>> 2) + 8192);
    let at = (block >>> 2) + 5;
    return arrays.map((values) => {
      runtime.f32.set(values, at);
      const pointer = 4 * at;
      at += values.length + 7;
      return pointer;
    });
  }
  const read = (pointer: number, n: number) => runtime.f32.slice(pointer >>> 2, (pointer >>> 2) + n);
  const guards = () => runtime.f32.subarray(block >>> 2, (block >>> 2) + 8192).filter(Number.isNaN).length;

  test("momentum", () => {
    const random = sequence();
    for (const n of LENGTHS) {
      const [w, m, x] = [random(n), random(n), random(n)];
      const [wAt, mAt, xAt] = placed(w, m, x) as [number, number, number];
      const before = guards();
      kernels.momentum(wAt, mAt, xAt, n, 0.7, 0.9, 0.01);
      expect(guards()).toBe(before);
      const moved = range(n).map((i) => exact([0.9 * m[i]!, 0.7 * x[i]!]));
      expectWithin(read(mAt, n), moved, 3);
      const stepped = moved.map(({ value, magnitude }, i) => ({
        value: w[i]! - 0.01 * value,
        magnitude: Math.abs(w[i]!) + 0.01 * magnitude,
      }));
      expectWithin(read(wAt, n), stepped, 4);
    }
  });

  test("adam", () => {
    const random = sequence();
    const [b1, b2, rate, root, eps, keep] = [0.9, 0.99, 0.02, 3, 1e-8, 0.98];
    for (const n of LENGTHS) {
      const [w, m, x] = [random(n), random(n), random(n)];
      const s = random(n).map((v) => v * v);
      const [wAt, mAt, sAt, xAt] = placed(w, m, s, x) as [number, number, number, number];
      const before = guards();
      kernels.adam(wAt, mAt, sAt, xAt, n, -0.7, b1, b2, rate, root, eps, keep);
      expect(guards()).toBe(before);
      for (const i of range(n)) {
        const g = -0.7 * x[i]!;
        const first = b1 * m[i]! + (1 - b1) * g;
        const second = b2 * s[i]! + (1 - b2) * g * g;
        const expected = keep * w[i]! - (rate * first) / (root * Math.sqrt(second) + eps);
        expect(Math.abs(runtime.f32[(mAt >>> 2) + i]! - first)).toBeLessThan(5e-7);
        expect(Math.abs(runtime.f32[(sAt >>> 2) + i]! - second)).toBeLessThan(1e-6 * second + 1e-9);
        expect(Math.abs(runtime.f32[(wAt >>> 2) + i]! - expected)).toBeLessThan(1e-6 + 1e-6 * Math.abs(1 / second));
      }
    }
  });

  test("walk", () => {
    const random = sequence();
    for (const n of LENGTHS) {
      const [w, old, x] = [random(n), random(n), random(n)];
      const [score, fisher] = [random(n).map(Math.abs), random(n).map(Math.abs)];
      const [sAt, fAt, wAt, oAt, xAt] = placed(score, fisher, w, old, x) as [number, number, number, number, number];
      const before = guards();
      kernels.walk(sAt, fAt, wAt, oAt, xAt, n, 0.6, 0.01);
      expect(guards()).toBe(before);
      const scored = range(n).map((i) => {
        const d = w[i]! - old[i]!;
        return exact([score[i]!, Math.max(0, -0.6 * x[i]! * d) / ((fisher[i]! * d * d) / 2 + 0.01)]);
      });
      expectWithin(read(sAt, n), scored, 20);
    }
  });

  test("multiply", () => {
    const random = sequence();
    for (const n of LENGTHS) {
      const [y, a, b] = [random(n), random(n), random(n)];
      const [yAt, aAt, bAt] = placed(y, a, b) as [number, number, number];
      kernels.multiply(yAt, aAt, bAt, n);
      expect(read(yAt, n)).toEqual(a.map((v, i) => v * b[i]!));
    }
  });

  test("a state that decays ends at 0, not among denormals", () => {
    const zeros = new Float32Array(9);
    const tiny = new Float32Array(9).fill(2e-38);
    const [w, m, s, x] = placed(zeros, tiny, tiny, zeros) as [number, number, number, number];
    kernels.momentum(w, m, x, 9, 1, 0.5, 0);
    expect([...read(m, 9)]).toEqual([...zeros]);
    runtime.f32.set(tiny, m >>> 2);
    kernels.adam(w, m, s, x, 9, 1, 0.5, 0.5, 0, 1, 1e-8, 1);
    expect([...read(m, 9), ...read(s, 9)]).toEqual([...zeros, ...zeros]);
  });
});
