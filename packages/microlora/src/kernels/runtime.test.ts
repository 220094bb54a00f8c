import { describe, expect, test } from "vitest";
import { MicroLora } from "../adapter/micro-lora.js";
import { expectRefusal, expectRejection } from "../base/refusals.test-support.js";
import { floats } from "../base/samples.test-support.js";
import { KERNELS_NAMES } from "./contract.js";
import { Runtime, sharedRuntime } from "./runtime.js";

describe("the size of the memory", () => {
  test.each([
    [65_536, 65_536],
    [65_537, 131_072],
    [1_000_000, 1_048_576],
  ])("%i bytes are rounded up to %i, and stay what they are", async (memoryBytes, actual) => {
    const runtime = await Runtime.create({ memoryBytes });
    expect(runtime.memoryBytes).toBe(actual);
    expect(runtime.buffer.byteLength).toBe(actual);
    expectRefusal(() => runtime.allocate(actual), "memory-full");
    expect(runtime.buffer.byteLength).toBe(actual);
  });

  test.each([0, -1, 65_535, 2 ** 32, Number.NaN, Number.POSITIVE_INFINITY])(
    "%s bytes are refused",
    async (memoryBytes) => {
      await expectRejection(Runtime.create({ memoryBytes }), "invalid-config", "memoryBytes");
    },
  );

  test("is 256 MiB unless it is said", async () => {
    expect((await Runtime.create({ kernels: "scalar" })).memoryBytes).toBe(2 ** 28);
  });
});

test("kernels that do not exist are refused by name", async () => {
  await expectRejection(Runtime.create({ kernels: "avx" as "simd" }), "kernels-unavailable", "kernels");
});

describe("blocks", () => {
  test("are zeros, though they were used before", async () => {
    const runtime = await Runtime.create({ memoryBytes: 65_536 });
    for (const length of [1, 5, 100]) {
      const first = runtime.allocate(length);
      runtime.view(first, length).fill(7);
      runtime.free(first);
      expect([...runtime.view(runtime.allocate(length), length)]).toEqual(Array(length).fill(0));
    }
  });

  test("views show the memory itself and are never detached", async () => {
    const runtime = await Runtime.create({ memoryBytes: 2 ** 20 });
    const view = runtime.view(runtime.allocate(10), 10);
    for (let k = 0; k < 20; k++) runtime.allocate(5000);
    view[3] = 2;
    expect(runtime.f32[view.byteOffset / 4 + 3]).toBe(2);
    expect(view).toHaveLength(10);
  });
});

describe("scratch", () => {
  test("grows by being replaced, and gives the old block back", async () => {
    const runtime = await Runtime.create({ memoryBytes: 2 ** 20 });
    const { input } = runtime.scratch;
    const small = input.reserve(10);
    expect(input.reserve(5)).toBe(small);
    const used = runtime.usedBytes;
    input.reserve(1000);
    expect(runtime.usedBytes).toBe(used - 48 + 4000);
  });

  test("takes what lies in the memory where it lies, and copies the rest", async () => {
    const runtime = await Runtime.create({ memoryBytes: 2 ** 20 });
    const inside = runtime.view(runtime.allocate(8), 8).subarray(2);
    expect(runtime.scratch.input.place(inside)).toBe(inside.byteOffset);
    const outside = floats(6, 1);
    const pointer = runtime.scratch.input.place(outside);
    expect([...runtime.view(pointer, 6)]).toEqual([...outside]);
  });

  test("keeps what it has if the memory is too full to grow", async () => {
    const runtime = await Runtime.create({ memoryBytes: 65_536 });
    const pointer = runtime.scratch.output.reserve(8);
    expectRefusal(() => runtime.scratch.output.reserve(60_000), "memory-full");
    expect(runtime.scratch.output.reserve(8)).toBe(pointer);
  });
});

test("the shared runtime is one for each kind of kernels", async () => {
  const [scalar, again, simd] = await Promise.all([
    sharedRuntime("scalar"),
    sharedRuntime("scalar"),
    sharedRuntime("simd"),
  ]);
  expect(scalar === again).toBe(true);
  expect(scalar === simd).toBe(false);
});

test.each(KERNELS_NAMES)("addresses beyond 2 GiB work, %s kernels", async (kernels) => {
  // Larger than what JavaScript's signed shifts can address; the block in front is never touched, so costs no memory.
  const runtime = await Runtime.create({ kernels, memoryBytes: 2.25 * 2 ** 30 });
  const config = { hiddenSize: 20, bias: true, seed: 3, dropout: 0.2 } as const;
  skip(runtime, 2 ** 31 + 65_536);
  using high = await MicroLora.create({ ...config, runtime });
  using low = await MicroLora.create({ ...config, kernels });
  for (const lora of [high, low]) {
    const x = lora.allocate(20);
    x.set(floats(20, 1));
    for (let k = 0; k < 3; k++) lora.learn(k === 0 ? x : floats(20, k), { gradient: floats(20, k + 5) });
    lora.consolidate();
    lora.learn(x, { gradient: floats(20, 9) });
    lora.adapt(x, { gradient: floats(20, 9) });
  }
  expect(high.getAdapter("q_proj")!.loraA.byteOffset).toBeGreaterThan(2 ** 31);
  expect(high.exportState()).toEqual(low.exportState());
  const block = runtime.allocate(100);
  runtime.view(block, 100).fill(7);
  runtime.free(block);
  expect([...runtime.view(runtime.allocate(100), 100)]).toEqual(Array(100).fill(0));
});

/** Takes bytes of a runtime without writing to them. */
function skip(runtime: Runtime, bytes: number): void {
  const { fill } = Float32Array.prototype;
  runtime.f32.fill = () => runtime.f32;
  runtime.allocate(bytes / 4);
  runtime.f32.fill = fill;
}
