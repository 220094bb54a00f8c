import type { KernelMemory } from "./load.js";
import type { RowKernels } from "./rows-contract.js";

/** `RowKernels` in plain TypeScript: sums in double, rounded once when stored. */
export function createScalarRowKernels(memory: KernelMemory): RowKernels {
  const f32 = new Float32Array(memory.buffer);
  const i16 = new Int16Array(memory.buffer);
  const i8 = new Int8Array(memory.buffer);
  return {
    projectKeys(keys, scales, x, u, rows, n) {
      for (let j = 0; j < rows; j++) {
        let sum = 0;
        for (let i = 0; i < n; i++) sum += i8[keys + j * n + i]! * f32[(x >>> 2) + i]!;
        f32[(u >>> 2) + j] = f32[(scales >>> 2) + j]! * sum;
      }
    },
    writeKey(key, x, n) {
      let most = 0;
      for (let i = 0; i < n; i++) most = Math.max(most, Math.abs(f32[(x >>> 2) + i]!));
      const scale = Math.fround(most / 127);
      const inverse = scale > 0 ? Math.fround(1 / scale) : 0;
      for (let i = 0; i < n; i++) i8[key + i] = clamp(nearest(f32[(x >>> 2) + i]! * inverse), 127);
      return scale;
    },
    addValue(value, y, n, factor) {
      for (let i = 0; i < n; i++) f32[(y >>> 2) + i]! += factor * i16[(value >>> 1) + i]!;
    },
    moveValue(value, g, n, keep, step, most) {
      const codes = value >>> 1;
      const from = g >>> 2;
      let squares = 0;
      for (let i = 0; i < n; i++) squares += (keep * i16[codes + i]! + step * f32[from + i]!) ** 2;
      if (!Number.isFinite(Math.fround(squares))) return 0;
      const length = Math.sqrt(squares);
      const shorter = length > most ? most / length : 1;
      for (let i = 0; i < n; i++) {
        i16[codes + i] = clamp(nearest(shorter * (keep * i16[codes + i]! + step * f32[from + i]!)), 32_767);
      }
      return 1;
    },
  };
}

/** The nearest integer, halves to even. */
function nearest(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

function clamp(value: number, most: number): number {
  return Math.max(-most - 1, Math.min(most, value));
}
