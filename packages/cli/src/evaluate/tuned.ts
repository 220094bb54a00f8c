import {
  BASELINES,
  type Baseline,
  baselinesFor,
  interval,
  isWithinBudget,
  mean,
  type Task,
  tuneBaselines,
} from "@microlora/evaluate";
import type { TestedBaseline, TuneResult } from "./jobs.js";
import { DEFAULTS, type Variant } from "./variants.js";

/** Chooses the settings of each baseline on the users that are tuned on: those that gain most, at a cost of 2 % by name and at any cost. */
export function chooseBaselines(task: Task, results: readonly TuneResult[]): TestedBaseline[] {
  const names = new Map<Baseline, string>(
    baselinesFor(task).map((name) => [BASELINES[name] as Baseline, name as string] as const),
  );
  const tuned = tuneBaselines(task, (baseline, numbers) =>
    results.map(({ base, settings }) => {
      if (baseline === null) return base;
      return settings[names.get(baseline)!]![baseline.grid.indexOf(numbers)]!;
    }),
  );
  return Object.entries(tuned).flatMap(([baseline, { free, within }]) => {
    const isSame = JSON.stringify(free.numbers) === JSON.stringify(within?.numbers);
    const rows: TestedBaseline[] = [];
    if (within !== null) rows.push({ label: TITLES[baseline] ?? baseline, baseline, numbers: within.numbers });
    if (!isSame) {
      rows.push({ label: `${TITLES[baseline] ?? baseline}, any cost`, baseline, numbers: free.numbers });
    }
    return rows;
  });
}

const TITLES: Readonly<Record<string, string>> = {
  popularity: "popularity",
  offset: "a constant offset",
  rocchio: "Rocchio",
  nearestClicked: "nearest of what was clicked",
  routedAverages: "routed averages",
  softmaxRegression: "softmax regression",
  leastSquares: "least squares",
};

/** The settings that gain most within a cost of 2 % by name; the defaults, unless the gain above them holds on these users. */
export function chooseVariant(variants: readonly Variant[], results: readonly TuneResult[]): Variant {
  const base = results.map((result) => result.base);
  const outcomesOf = ({ label }: Variant) => results.map((result) => result.variants[label]!);
  const defaults = outcomesOf(DEFAULTS);
  const tried = variants
    .map((variant) => {
      const own = outcomesOf(variant);
      const above = own.map(({ heldOut }, i) => heldOut - defaults[i]!.heldOut);
      return { variant, gain: mean(above), above: interval(above), isWithin: isWithinBudget(own, base) };
    })
    .filter(({ above, isWithin }) => isWithin && above.low > 0)
    .sort((a, b) => b.gain - a.gain);
  return tried[0]?.variant ?? DEFAULTS;
}
