import { readFileSync } from "node:fs";
import { afterEach, describe, expect, test, vi } from "vitest";
import { KERNELS_NAMES } from "./contract.js";
import { loadKernels } from "./load.js";
import { isAvailable } from "./probe.js";

const newMemory = () => new WebAssembly.Memory({ initial: 1, maximum: 1 });

/** Makes the engine refuse the modules whose bytes `refused` picks. */
function refuseModules(refused: (bytes: Uint8Array) => boolean): void {
  const validate = WebAssembly.validate;
  vi.spyOn(WebAssembly, "validate").mockImplementation(
    (bytes) => !refused(new Uint8Array(bytes as ArrayBuffer)) && validate(bytes),
  );
}

afterEach(() => vi.restoreAllMocks());

describe("loadKernels", () => {
  test.each(KERNELS_NAMES)("gives the %s kernels when they are named", async (name) => {
    expect(isAvailable[name]()).toBe(true);
    expect((await loadKernels(newMemory(), name)).name).toBe(name);
  });

  test("are simd by default, though relaxed would run, and scalar where there is no SIMD", async () => {
    expect(isAvailable.relaxed()).toBe(true);
    expect((await loadKernels(newMemory())).name).toBe("simd");
    refuseModules(() => true);
    expect((await loadKernels(newMemory())).name).toBe("scalar");
  });

  test("are scalar where the engine refuses to compile; kernels named are refused then", async () => {
    const refuse = () => Promise.reject(new WebAssembly.CompileError("disallowed by embedder"));
    vi.spyOn(WebAssembly, "instantiate").mockImplementation(refuse as never);
    expect((await loadKernels(newMemory())).name).toBe("scalar");
    for (const name of ["simd", "relaxed"] as const) {
      await expect(loadKernels(newMemory(), name)).rejects.toMatchObject({
        code: "kernels-unavailable",
        message: expect.stringContaining("wasm-unsafe-eval"),
      });
    }
  });

  test.each(["relaxed", "simd"] as const)("refuses %s where the engine cannot run it", async (name) => {
    refuseModules(() => true);
    await expect(loadKernels(newMemory(), name)).rejects.toMatchObject({
      code: "kernels-unavailable",
      where: "kernels",
      message: expect.stringContaining("scalar"),
    });
  });

  test.each(KERNELS_NAMES)("%s kernels of two memories do not share state", async (name) => {
    const memories = [newMemory(), newMemory()];
    const [first] = await Promise.all(memories.map((memory) => loadKernels(memory, name)));
    const [a, b] = memories.map((memory) => new Float32Array(memory.buffer).fill(1));
    first!.apply(64, 128, 4, 0.5);
    expect([...a!.slice(15, 21)]).toEqual([1, 0.5, 0.5, 0.5, 0.5, 1]);
    expect(b!.every((value) => value === 1)).toBe(true);
  });
});

test("the generated files are what the AssemblyScript sources compile to", async () => {
  const build = new URL("../../assembly/build.mjs", import.meta.url).href;
  const { generate } = (await import(build)) as { generate(): Promise<{ path: string; text: string }[]> };
  for (const { path, text } of await generate()) expect(readFileSync(path, "utf8") === text, path).toBe(true);
});
