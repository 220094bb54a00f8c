import { describe, expect, test } from "vitest";
import { uniformFrom } from "../base/samples.test-support.js";
import { adwin, type Boundary, everyRequests, pageHinkley } from "./boundaries.js";

/** Requests at which a boundary was told, on losses of `means[task]` with noise, 300 requests a task. */
function alarms(boundary: Boundary, means: readonly number[], seed: number): number[] {
  const uniform = uniformFrom(seed);
  const told: number[] = [];
  let state = boundary.start();
  for (let k = 0; k < 300 * means.length; k++) {
    const loss = means[Math.floor(k / 300)]! + (uniform() + uniform() + uniform() - 1.5) * 0.6;
    const step = boundary.step(state, loss);
    // As it is saved and loaded.
    state = JSON.parse(JSON.stringify(step.state)) as readonly number[];
    if (step.changed) told.push(k);
  }
  return told;
}

describe.each([pageHinkley(), adwin()])("$name", (boundary) => {
  const seeds = [...Array(20).keys()];

  test("tells a rise of the loss soon, in 20 streams of 20", () => {
    for (const seed of seeds) {
      const told = alarms(boundary, [0.5, 1.2], seed + 1);
      expect(
        told.some((k) => k >= 300 && k < 360),
        `seed ${seed}: ${told}`,
      ).toBe(true);
    }
  });

  test("is quiet where nothing changes or the loss falls", () => {
    const quiet = (means: number[]) => seeds.flatMap((seed) => alarms(boundary, means, seed + 100)).length;
    expect(quiet([0.5, 0.5])).toBeLessThanOrEqual(1);
    expect(quiet([1.5, 0.7, 0.3])).toBeLessThanOrEqual(1);
  });
});

test("adwin keeps a logarithmic number of buckets", () => {
  const boundary = adwin();
  const uniform = uniformFrom(3);
  let state = boundary.start();
  for (let k = 0; k < 20_000; k++) state = boundary.step(state, uniform()).state;
  expect(state.length / 3).toBeLessThan(6 * 15);
  const counted = state.filter((_, i) => i % 3 === 0).reduce((sum, n) => sum + n, 0);
  expect(counted).toBeLessThanOrEqual(20_000);
  expect(counted).toBeGreaterThan(1000);
});

test("every 300 requests", () => {
  expect(alarms(everyRequests(300), [1, 1, 1], 1)).toEqual([299, 599, 899]);
});
