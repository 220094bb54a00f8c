import { expect, test } from "vitest";
import { checkOnRuntime, checkRule, NAMED_SAMPLES } from "./check.test-support.js";

test.each(NAMED_SAMPLES)("$name: finite differences in float64", ({ op, sample }) => {
  for (const known of ["sizes", "symbols", "nothing"] as const) checkRule(op, sample, known);
});

test.each(NAMED_SAMPLES.filter(({ sample }) => !sample.noKernel))(
  "$name: onnxruntime in float32",
  async ({ op, sample }) => {
    expect(await checkOnRuntime(op, sample)).toBeLessThanOrEqual(1e-5);
  },
);
