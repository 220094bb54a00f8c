import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expectRefusal } from "../base/refusals.test-support.js";
import { uniformFrom } from "../base/samples.test-support.js";
import { Allocator } from "./memory.js";

const CAPACITY = 16_384;

/** What an allocator may do, written down by the blocks that are in use. */
class Ledger {
  readonly #allocator = new Allocator(CAPACITY);
  readonly #blocks: { pointer: number; bytes: number }[] = [];

  allocate(floats: number): boolean {
    const bytes = Math.max(16, Math.ceil((4 * floats) / 16) * 16);
    const used = this.#allocator.usedBytes;
    let pointer: number;
    try {
      pointer = this.#allocator.allocate(floats);
    } catch (error) {
      expect(error).toMatchObject({ name: "MicroLoraError", code: "memory-full", where: "runtime" });
      expect(this.largestGap(), "there was room").toBeLessThan(bytes);
      expect(this.#allocator.usedBytes).toBe(used);
      return false;
    }
    expect(pointer % 16).toBe(0);
    expect(pointer).toBeGreaterThanOrEqual(16);
    expect(pointer + bytes).toBeLessThanOrEqual(CAPACITY);
    const overlap = this.#blocks.find(
      (block) => pointer < block.pointer + block.bytes && block.pointer < pointer + bytes,
    );
    expect(overlap).toBeUndefined();
    this.#blocks.push({ pointer, bytes });
    expect(this.#allocator.usedBytes).toBe(used + bytes);
    return true;
  }

  free(which: number): void {
    const [block] = this.#blocks.splice(which % Math.max(1, this.#blocks.length), 1);
    if (block === undefined) return;
    const used = this.#allocator.usedBytes;
    this.#allocator.free(block.pointer);
    expect(this.#allocator.usedBytes).toBe(used - block.bytes);
  }

  freeAll(): void {
    while (this.#blocks.length > 0) this.free(0);
    expect(this.#allocator.usedBytes).toBe(0);
  }

  /** The most bytes in a row that no block has. */
  largestGap(): number {
    const sorted = [...this.#blocks].sort((a, b) => a.pointer - b.pointer);
    let [end, largest] = [16, 0];
    for (const { pointer, bytes } of sorted) {
      largest = Math.max(largest, pointer - end);
      end = pointer + bytes;
    }
    return Math.max(largest, CAPACITY - end);
  }
}

const action = fc.oneof(
  { weight: 3, arbitrary: fc.record({ allocate: fc.oneof(fc.nat({ max: 40 }), fc.nat({ max: 2000 })) }) },
  { weight: 2, arbitrary: fc.record({ free: fc.nat() }) },
);

test("blocks never overlap, are aligned, and are refused only if no gap is large enough", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 120 }), (actions) => {
      const ledger = new Ledger();
      for (const each of actions) {
        if ("allocate" in each) ledger.allocate(each.allocate);
        else ledger.free(each.free);
      }
      ledger.freeAll();
      expect(ledger.allocate(CAPACITY / 4 - 4), "everything is one block again").toBe(true);
    }),
    { numRuns: 150, seed: 3 },
  );
});

test("a long life of mixed sizes", () => {
  const uniform = uniformFrom(4);
  const ledger = new Ledger();
  for (let k = 0; k < 5000; k++) {
    if (uniform() < 0.55) ledger.allocate(Math.floor(uniform() ** 3 * 700));
    else ledger.free(Math.floor(uniform() * 1000));
  }
  ledger.freeAll();
  expect(ledger.allocate(CAPACITY / 4 - 4)).toBe(true);
});

describe("freeing", () => {
  test("the null pointer, a pointer never given and one freed before do nothing", () => {
    const allocator = new Allocator(CAPACITY);
    const pointer = allocator.allocate(8);
    for (const other of [0, pointer + 4, 12_345_678]) allocator.free(other);
    expect(allocator.usedBytes).toBe(32);
    allocator.free(pointer);
    allocator.free(pointer);
    expect(allocator.usedBytes).toBe(0);
    expect(allocator.allocate(8)).not.toBe(allocator.allocate(8));
  });

  test("equal sizes are used again at once", () => {
    const allocator = new Allocator(CAPACITY);
    const pointers = Array.from({ length: 10 }, () => allocator.allocate(100));
    for (const pointer of pointers) allocator.free(pointer);
    const again = Array.from({ length: 10 }, () => allocator.allocate(100));
    expect(new Set(again)).toEqual(new Set(pointers));
  });
});

test("what does not fit says how much is free", () => {
  const allocator = new Allocator(1024);
  allocator.allocate(100);
  expectRefusal(() => allocator.allocate(200), "memory-full", "runtime");
  expect(() => allocator.allocate(200)).toThrow("800 bytes wanted, 608 of 1024 free");
});
