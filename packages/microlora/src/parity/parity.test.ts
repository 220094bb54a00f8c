/**
 * The Rust original and ours, each against float64. The cases in `fixtures/` hold what the original made of them, so no
 * cargo is needed; with PARITY_CRATE=<folder of the crate, relative to the repository's root> the crate is built and run
 * on new random cases too (PARITY_SEED repeats a run), and with PARITY_UPDATE=1 besides, the fixtures are made anew.
 */
import { describe, expect, test } from "vitest";
import { KERNELS_NAMES } from "../kernels/contract.js";
import { type Results, randomCase, uniformFrom } from "./cases.test-support.js";
import { type Fixtures, provenanceOf, readFixtures, runOriginal, writeFixtures } from "./original.test-support.js";
import { initialOf, runOurs } from "./ours.test-support.js";
import { outside, reference } from "./reference.test-support.js";

const RANKS = [1, 2, 8];
const crate = process.env.PARITY_CRATE;

if (crate !== undefined && process.env.PARITY_UPDATE === "1") {
  writeFixtures({ original: provenanceOf(crate), cases: runCases(crate, 1, 18, 40) });
}

describe.each(readFixtures().cases)("fixture: rank $given.rank, $given.inFeatures to $given.outFeatures", compare);

if (crate !== undefined) {
  const seed = Number(process.env.PARITY_SEED ?? Date.now() % 2 ** 32);
  const cases = runCases(crate, seed, 60, 96);
  describe.each(cases)(`seed ${seed}: rank $given.rank, $given.inFeatures to $given.outFeatures`, compare);
}

function runCases(folder: string, seed: number, count: number, maxWidth: number): Fixtures["cases"] {
  const uniform = uniformFrom(seed);
  const given = Array.from({ length: count }, (_, k) => randomCase(RANKS[k % RANKS.length]!, maxWidth, uniform));
  const results = runOriginal(folder, given);
  return given.map((test, k) => ({ given: test, results: results[k]! }));
}

function compare({ given, results }: Fixtures["cases"][number]): void {
  const expected = reference(given);

  test("the original is within the bound of float64", () => {
    expectWithin(results);
    expect(outside(results.forwardSimd, expected.forwardAdd)).toEqual([]);
  });

  test.each(KERNELS_NAMES)("ours is within the bound of float64, %s kernels", async (kernels) => {
    expectWithin(await runOurs(given, kernels));
  });

  test.each(KERNELS_NAMES)("ours starts from the original's A, bit for bit, %s kernels", async (kernels) => {
    const { a, scaling } = await initialOf(given, kernels);
    expect(Math.fround(scaling)).toBe(results.scaling);
    expect([...a]).toEqual(results.initialA);
  });

  function expectWithin(actual: Results): void {
    for (const name of Object.keys(expected) as (keyof Results)[]) {
      expect(outside(actual[name], expected[name]), name).toEqual([]);
    }
  }
}
