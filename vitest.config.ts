import { defineConfig } from "vitest/config";

// Node 20 has relaxed SIMD behind a flag; later versions have it on and do not know the flag.
const nodeMajor = Number(process.versions.node.split(".")[0]);

export default defineConfig({
  test: {
    include: [
      "packages/*/src/**/*.test.ts",
      "examples/**/*.test.ts",
      "bench/emoji/src/**/*.test.ts",
      "scripts/**/*.test.ts",
    ],
    pool: "forks",
    execArgv: nodeMajor < 22 ? ["--experimental-wasm-relaxed-simd"] : [],
    testTimeout: 60_000,
  },
});
