import { describe, expect, test } from "vitest";
import { KERNELS_NAMES } from "../kernels/contract.js";
import { MicroLora } from "./micro-lora.js";

const f = Math.fround;

/**
 * `LoraAdapter::new` of the Rust file, element [i, j] of A, each operation rounded to f32 as Rust does:
 * `let std_a = (2.0 / in_features as f32).sqrt() * 0.01; let seed = (_i * rank + _j) as f32;`
 * `((seed * 0.618033988749895) % 1.0 - 0.5) * 2.0 * std_a`
 */
function original(i: number, j: number, inFeatures: number, rank: number): number {
  const fraction = f(f(2) / f(inFeatures));
  const stdA = f(f(Math.sqrt(fraction)) * f(0.01));
  const seed = f(i * rank + j);
  const remainder = f(f(seed * f(0.618033988749895)) % f(1));
  return f(f(f(remainder - f(0.5)) * f(2)) * stdA);
}

describe.each(KERNELS_NAMES)("%s kernels", (kernels) => {
  test.each([
    [1, 1],
    [2, 768],
    [3, 37],
    [64, 4096],
  ])("`original` is the Rust file's A, bit for bit: rank %i, %i wide", async (rank, inFeatures) => {
    using lora = await MicroLora.create({ init: "original", rank, inFeatures, outFeatures: 3, kernels });
    const { loraA, loraB } = lora.getAdapter("v_proj")!;
    const expected = Float32Array.from({ length: rank * inFeatures }, (_, k) =>
      original(k % inFeatures, Math.floor(k / inFeatures), inFeatures, rank),
    );
    expect(loraA.every((value, k) => Object.is(value, expected[k]))).toBe(true);
    expect(loraB.every((value) => Object.is(value, 0))).toBe(true);
  });

  test("a fresh adapter of either kind changes nothing", async () => {
    for (const init of ["kaiming", "original"] as const) {
      using lora = await MicroLora.create({ init, hiddenSize: 20, bias: true, kernels });
      const x = new Float32Array(20).fill(3);
      expect([...lora.forward(x, "q_proj")]).toEqual([...new Float32Array(20)]);
    }
  });
});

describe("kaiming", () => {
  const fresh = async (seed: number, module = "q_proj") => {
    using lora = await MicroLora.create({ seed, inFeatures: 900, outFeatures: 3, rank: 2, targetModules: [module] });
    return lora.getAdapter(module)!.loraA.slice();
  };

  test("is uniform in +-1/sqrt(inFeatures)", async () => {
    const scaled = (await fresh(5)).map((value) => value * 30);
    expect(scaled.every((value) => value >= -1 && value <= 1)).toBe(true);
    const mean = scaled.reduce((sum, value) => sum + value, 0) / scaled.length;
    const square = scaled.reduce((sum, value) => sum + value ** 2, 0) / scaled.length;
    expect(Math.abs(mean)).toBeLessThan(0.05);
    expect(Math.abs(square - 1 / 3)).toBeLessThan(0.03);
    expect(Math.min(...scaled)).toBeLessThan(-0.98);
    expect(Math.max(...scaled)).toBeGreaterThan(0.98);
  });

  test("depends on the seed, all 53 bits of it, and on the module, and on nothing else", async () => {
    const first = await fresh(5);
    expect(await fresh(5)).toEqual(first);
    for (const other of [await fresh(6), await fresh(5 + 2 ** 32), await fresh(5, "k_proj")]) {
      expect(other.filter((value, i) => value === first[i])).toHaveLength(0);
    }
  });
});
