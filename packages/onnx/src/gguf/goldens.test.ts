import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openModel, tokenNll } from "../index.js";
import {
  adapterOf,
  compareGradients,
  feedsOf,
  floatsOf,
  type Golden,
  readGolden,
} from "../testing/goldens.test-support.js";
import { web } from "../testing/models.test-support.js";

/** With the scores that the file alone gives to the token after the last one of each row. */
interface GgufGolden extends Golden {
  readonly last: readonly number[];
  readonly logits: readonly string[];
}

/** One model of each architecture, and every type of weight among them; see `goldens/gguf_models.py`. */
const CASES = [
  "llama",
  "llama-past",
  "llama-scaled",
  "qwen2",
  "qwen3",
  "gemma",
  "gemma2",
  "gemma3",
  "gemma3-past",
  "phi3",
  "smollm3",
  "granite",
];

export function ggufFixture(name: string): Uint8Array {
  return readFileSync(join(import.meta.dirname, "../../fixtures/gguf", `${name}.gguf`));
}

describe("GGUF models beside PyTorch in float64 with the same dequantised weights", () => {
  test.each(CASES)("%s: scores, and gradients of an adapter for each row", async (name) => {
    const golden = readGolden<GgufGolden>(`gguf/${name}`);
    await using model = await openModel(ggufFixture(name.replace("-past", "")), {
      ort: web,
      targets: (module) => Object.hasOwn(golden.gradients, module.name),
      gguf: { weights: "blocks", activations: "float32" },
    });
    const feeds = feedsOf(model, golden);
    const { logits } = await model.run(feeds);
    for (const [row, at] of golden.last.entries()) expectScores(logits!, row, at, floatsOf(golden.logits[row]!));

    expect(model.modules.length).toBe(Object.keys(golden.gradients).length);
    const adapters = await Promise.all(golden.last.map((_, row) => adapterOf(model, golden.rank, row, (path) => path)));
    const result = await model.gradients({ feeds, loss: tokenNll({ labels: golden.labels! }) }, { adapters });
    expect(Math.abs(result.loss - golden.loss)).toBeLessThan(1e-5 * golden.loss);
    compareGradients(model, golden, adapters, result, (path) => path, 1e-5);
  });
});

function expectScores(
  { dims, data }: { readonly dims: readonly number[]; readonly data: unknown },
  row: number,
  at: number,
  expected: Float32Array,
): void {
  const [, length = 0, vocabulary = 0] = dims;
  const start = (row * length + at) * vocabulary;
  const actual = (data as Float32Array).subarray(start, start + vocabulary);
  const largest = Math.max(...expected.map(Math.abs));
  const worst = Math.max(...expected.map((value, i) => Math.abs(value - actual[i]!)));
  expect(worst / largest).toBeLessThan(1e-5);
}
