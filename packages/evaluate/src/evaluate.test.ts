import { Runtime } from "microlora";
import { expect, test } from "vitest";
import {
  BASELINES,
  type Baseline,
  type Choice,
  createBase,
  createGauss,
  createLearners,
  createRandom,
  evaluatePerson,
  interval,
  isWithinBudget,
  type Matrix,
  matrixOf,
  mean,
  percentChange,
  qualityOf,
  reciprocal,
  row,
  type Task,
  toUnit,
  tuneBaselines,
} from "./index.js";

const random = createRandom(5);
const gauss = createGauss(random);
const direction = (width: number) => toUnit(Float32Array.from({ length: width }, () => gauss()));

function taskOf(rows: number, width: number): Task {
  const items: Matrix = matrixOf(Array.from({ length: rows }, () => direction(width)));
  return { items, popularity: Float64Array.from({ length: rows }, (_, i) => i), rated: false, indexed: true };
}

test("the interval is that of the normal distribution, where the mean is nearly normal", () => {
  const values = Array.from({ length: 400 }, () => 0.3 + gauss());
  const m = values.reduce((a, b) => a + b) / values.length;
  const deviation = Math.sqrt(values.reduce((sum, v) => sum + (v - m) ** 2, 0) / (values.length - 1));
  const half = (1.96 * deviation) / Math.sqrt(values.length);
  const found = interval([...values, Number.NaN]);
  expect(found.mean).toBeCloseTo(m, 12);
  // 1,000 resamples place the ends within a tenth of the width.
  expect(Math.abs(found.low - (m - half))).toBeLessThan(0.2 * half);
  expect(Math.abs(found.high - (m + half))).toBeLessThan(0.2 * half);
});

test("means and changes leave out what is not known", () => {
  expect(mean([1, Number.NaN, 3])).toBe(2);
  expect(mean([Number.NaN])).toBeNaN();
  expect(percentChange([0.4, Number.NaN, 0.2], [0.5, 0.9, 0.3])).toBeCloseTo(-25, 10);
});

test("a reciprocal rank is that of the sorted scores, ties in the middle", () => {
  for (let round = 0; round < 50; round++) {
    const scores = Float64Array.from({ length: 8 }, () => Math.floor(4 * random()));
    const at = Math.floor(8 * random());
    const sorted = [...scores].sort((a, b) => b - a);
    const ranks = sorted.flatMap((score, i) => (score === scores[at] ? [i + 1] : []));
    expect(reciprocal(scores, at)).toBeCloseTo(1 / ((ranks[0]! + ranks.at(-1)!) / 2), 12);
  }
});

test("choices count by their weight", () => {
  const task = taskOf(6, 8);
  const choices: Choice[] = [0, 1].map((chosen) => ({
    query: row(task.items, 0),
    chosen,
    shown: Int32Array.of(0, 1),
    topic: 0,
    weight: chosen === 0 ? 3 : 1,
  }));
  // The item itself is nearest: ranks 1 and 2.
  expect(qualityOf(task, createBase(task), choices)).toBeCloseTo((3 * 1 + 1 * 0.5) / 4, 12);
});

test.each(Object.entries(BASELINES))("%s learns what a person always takes", (_, baseline: Baseline) => {
  const task = taskOf(20, 8);
  const query = direction(8);
  const shown = Int32Array.of(3, 4, 5, 6);
  const quality = (ranker: ReturnType<typeof createBase>) =>
    reciprocal(ranker.scores(query, shown), shown.indexOf(worst));
  const scores = createBase(task).scores(query, shown);
  const worst = shown[scores.indexOf(Math.min(...scores))]!;
  const popular = { ...task, popularity: task.popularity.map((_, i) => (i === worst ? 1000 : 0)) };
  const best = Math.max(
    ...baseline.grid.map((numbers) => {
      const ranker = baseline.make(popular, numbers);
      for (let i = 0; i < 30; i++) ranker.learn(query, shown, worst);
      return quality(ranker);
    }),
  );
  expect(quality(createBase(task))).toBe(1 / 4);
  expect(best).toBe(1);
});

test("the nearest of what was clicked is the largest cosine, whenever it is asked for", () => {
  const task = taskOf(30, 8);
  const ranker = BASELINES.nearestClicked.make(task, { weight: 0 });
  const all = Int32Array.from({ length: 30 }, (_, i) => i);
  const clicked: number[] = [];
  for (const item of [4, 9, 4, 17]) {
    ranker.learn(direction(8), all, item);
    clicked.push(item);
    const expected = [...all].map((i) =>
      Math.max(
        0,
        ...clicked.map((c) =>
          c === i ? 1 : row(task.items, i).reduce((s, v, k) => s + v * row(task.items, c)[k]!, 0),
        ),
      ),
    );
    for (const [i, score] of ranker.scores(direction(8), all).entries()) expect(score).toBeCloseTo(expected[i]!, 5);
  }
});

test("a person with a taste gains, and what is held out is not learned from", async () => {
  const task = taskOf(40, 16);
  const query = direction(16);
  const liked = 7;
  const choices = Array.from({ length: 20 }, (_, i) => {
    const shown = Int32Array.of(liked, 10 + (i % 20), 31, 32);
    return { query, chosen: liked, shown, topic: i % 2 === 0 ? 0 : 3 };
  });
  const learners = createLearners(task, await Runtime.create());
  const make = await learners.make();
  const measures = { task, named: null, hasTopics: true };
  let learned = 0;
  const outcome = evaluatePerson(
    measures,
    { choices },
    () => {
      const ranker = make();
      return {
        ...ranker,
        learn(...event) {
          learned++;
          ranker.learn(...event);
        },
      };
    },
    0,
  );
  learners.close();
  expect(outcome.heldOut).toBe(1);
  expect(outcome.repeats).toBe(1);
  expect(outcome.online).toHaveLength(16);
  // All 16 once, and those of one topic again.
  expect(learned).toBe(16 + 8);
  expect(outcome.bytes).toBeGreaterThan(0);
});

test("settings are those that gain most, at any cost and within 2 %", () => {
  const task = taskOf(5, 100);
  const gains = [0.1, 0.3, 0.2];
  const tuned = tuneBaselines(task, (baseline, numbers) => {
    const k = baseline === null ? -1 : baseline.grid.indexOf(numbers);
    const names = k === 1 ? 0.5 : 0.99;
    return [{ heldOut: 0.4 + (gains[k] ?? 0), names: baseline === null ? 1 : names, halves: Number.NaN }];
  });
  const { grid } = BASELINES.offset;
  expect(tuned.offset).toEqual({ free: { numbers: grid[1], gain: 0.3 }, within: { numbers: grid[2], gain: 0.2 } });
  expect(Object.keys(tuned)).not.toContain("leastSquares");
});

test("a cost of 2 % is within the budget, one above it is not, and what is not known costs nothing", () => {
  const outcome = (names: number) => [{ heldOut: 1, names, halves: Number.NaN }];
  expect(isWithinBudget(outcome(0.985), outcome(1))).toBe(true);
  expect(isWithinBudget(outcome(0.97), outcome(1))).toBe(false);
  expect(isWithinBudget(outcome(Number.NaN), outcome(Number.NaN))).toBe(true);
});
