import { expect } from "vitest";
import { KERNELS_NAMES, type Kernels, type Pointer } from "./contract.js";
import { loadKernels } from "./load.js";

/** Lengths around the widths of the unrolled loops, and primes. */
export const SIZES = [1, 3, 4, 5, 7, 8, 13, 15, 16, 17, 31, 32, 33, 64, 97, 127, 255, 256, 257];
export const RANKS = [0, 1, 2, 3, 4, 5, 8, 16, 64];

/** Unit roundoff of float32. */
const EPSILON = 2 ** -24;

const PAGES = 64;
const MARGIN = 8;
const GUARD = Number.NaN;

/** A memory whose unused words are NaN, so that reading beside an array shows in the result. */
export class Arena {
  readonly memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
  readonly f32 = new Float32Array(this.memory.buffer);
  readonly u32 = new Uint32Array(this.memory.buffer);
  #top = 0;
  #state = 1;

  constructor() {
    this.f32.fill(GUARD);
  }

  /** Forgets all blocks. */
  clear(): void {
    this.f32.fill(GUARD, 0, this.#top);
    this.#top = 4;
  }

  /** Puts values at an address that is `shift` floats from a multiple of 16 bytes, with guards on both sides. */
  place(values: ArrayLike<number>, shift = 0): Pointer {
    const index = Math.ceil((this.#top + MARGIN) / 4) * 4 + (shift % 4);
    this.f32.set(values, index);
    this.#top = index + values.length + MARGIN;
    return 4 * index;
  }

  read(pointer: Pointer, length: number): Float32Array {
    return this.f32.slice(pointer / 4, pointer / 4 + length);
  }

  /** Uniform in [-1, 1), the same sequence in every run. */
  random(length: number): Float32Array {
    return Float32Array.from({ length }, () => {
      this.#state = (Math.imul(this.#state, 1664525) + 1013904223) | 0;
      return this.#state / 2 ** 31;
    });
  }

  /** Runs `call` and checks that it wrote nothing but the given [pointer, length] ranges. */
  writesOnly<T>(ranges: readonly (readonly [Pointer, number])[], call: () => T): T {
    const before = this.u32.slice(0, this.#top);
    const result = call();
    const after = this.u32.slice(0, this.#top);
    for (const [pointer, length] of ranges) {
      after.set(before.subarray(pointer / 4, pointer / 4 + length), pointer / 4);
    }
    expect(after.findIndex((word, i) => word !== before[i])).toBe(-1);
    return result;
  }
}

/** Every implementation over a memory of its own: the parameter of each kernel test. */
export const IMPLEMENTATIONS: readonly { name: string; arena: Arena; kernels: Kernels }[] = await Promise.all(
  KERNELS_NAMES.map(async (name) => {
    const arena = new Arena();
    return { name, arena, kernels: await loadKernels(arena.memory, name) };
  }),
);

/** A value in float64 with the sum of the magnitudes of the terms that made it. */
export interface Exact {
  readonly value: number;
  readonly magnitude: number;
}

/** The exact sum of terms. */
export function exact(terms: readonly number[]): Exact {
  return {
    value: terms.reduce((sum, term) => sum + term, 0),
    magnitude: terms.reduce((sum, term) => sum + Math.abs(term), 0),
  };
}

/** Checks |actual - exact| <= (terms + 8) * eps * sum |terms|: the bound on a sum of rounded products in any order. */
export function expectWithin(actual: ArrayLike<number>, expected: readonly Exact[], terms: number): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < actual.length; i++) {
    const { value, magnitude } = expected[i] as Exact;
    const error = Math.abs((actual[i] as number) - value);
    if (!(error <= (terms + 8) * EPSILON * magnitude)) {
      expect.fail(`element ${i}: ${actual[i]}, exactly ${value}, terms ${magnitude}`);
    }
  }
}

/** 0, 1, ..., n - 1. */
export function range(n: number): number[] {
  return Array.from({ length: n }, (_, i) => i);
}
