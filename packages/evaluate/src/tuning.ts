import { BASELINES, type Baseline, baselinesFor, type Numbers } from "./baselines.js";
import type { Outcome } from "./person.js";
import type { Task } from "./ranker.js";
import { mean, percentChange } from "./statistics.js";

/** Settings of a baseline, and their gain on the people that it was tuned on. */
export interface Chosen {
  /** The settings. */
  readonly numbers: Numbers;
  /** Their gain on the people that they were chosen on. */
  readonly gain: number;
}

/** The settings that gain most, and those that gain most at a cost of 2 % by name at most. */
export interface TunedBaseline {
  /** Those that gain most, whatever they cost. */
  readonly free: Chosen;
  /** null where every setting costs more. */
  readonly within: Chosen | null;
}

/** Tuned baselines by name. */
export type Tuned = Readonly<Record<string, TunedBaseline>>;

/** What a person's outcome says of a setting. */
export type TunedOutcome = Pick<Outcome, "heldOut" | "names" | "halves">;

/** Most that a way to rank within the budget may cost, in percent of finding things by name and by half the name. */
export const BUDGET = -2;

/** Whether finding things by name and by half the name costs at most 2 %. */
export function isWithinBudget(own: readonly TunedOutcome[], base: readonly TunedOutcome[]): boolean {
  const costs = (["names", "halves"] as const).map((key) =>
    percentChange(
      own.map((outcome) => outcome[key]),
      base.map((outcome) => outcome[key]),
    ),
  );
  return costs.every((cost) => !(cost < BUDGET));
}

/**
 * Tries every setting of every baseline that suits a task.
 * @param measure the outcomes of the same people in the same order; called once for the base, by null, and once for each setting
 */
export function tuneBaselines(
  task: Task,
  measure: (baseline: Baseline | null, numbers: Numbers) => readonly TunedOutcome[],
): Tuned {
  const base = measure(null, {});
  const before = mean(base.map(({ heldOut }) => heldOut));
  const tuned: Record<string, TunedBaseline> = {};
  for (const name of baselinesFor(task)) {
    const baseline: Baseline = BASELINES[name];
    const tried = baseline.grid.map((numbers) => {
      const outcomes = measure(baseline, numbers);
      const gain = mean(outcomes.map(({ heldOut }) => heldOut)) - before;
      return { numbers, gain, isWithin: isWithinBudget(outcomes, base) };
    });
    tuned[name] = { free: best(tried)!, within: best(tried.filter(({ isWithin }) => isWithin)) };
  }
  return tuned;
}

function best(tried: readonly Chosen[]): Chosen | null {
  const [first] = [...tried].sort((a, b) => b.gain - a.gain);
  return first === undefined ? null : { numbers: first.numbers, gain: Number(first.gain.toFixed(4)) };
}
