import { measuresOf, type Problem, peopleOf } from "./problem.js";
import {
  BASELINES,
  type Baseline,
  baselinesFor,
  createBase,
  evaluatePerson,
  type MakeRanker,
  mean,
  type Numbers,
  percentChange,
} from "./replay/index.js";
import type { Chosen, Tuned } from "./settings.js";

const PEOPLE = 40;

/** Most that a baseline within the budget may cost, in percent of finding things by name and by half the name. */
const BUDGET = -2;

/** Tries every setting of every baseline on tune people. */
export function tune(problem: Problem): Tuned {
  const measures = measuresOf(problem);
  const people = peopleOf(problem, "tune", PEOPLE);
  const measure = (make: MakeRanker) => {
    const outcomes = people.map((person, i) => evaluatePerson({ ...measures, hasTopics: false }, person, make, i));
    return {
      heldOut: mean(outcomes.map(({ heldOut }) => heldOut)),
      names: outcomes.map(({ names }) => names),
      halves: outcomes.map(({ halves }) => halves),
    };
  };
  const base = measure(() => createBase(problem));
  const tuned: Record<string, Tuned[string]> = {};
  for (const name of baselinesFor(problem)) {
    const { make, grid }: Baseline = BASELINES[name];
    const tried = grid.map((numbers) => {
      const { heldOut, names, halves } = measure(() => make(problem, numbers));
      const costs = [percentChange(names, base.names), percentChange(halves, base.halves)];
      return { numbers, gain: heldOut - base.heldOut, isWithin: costs.every((cost) => !(cost < BUDGET)) };
    });
    tuned[name] = { free: best(tried)!, within: best(tried.filter(({ isWithin }) => isWithin)) };
  }
  return tuned;
}

function best(tried: readonly { readonly numbers: Numbers; readonly gain: number }[]): Chosen | null {
  const [first] = [...tried].sort((a, b) => b.gain - a.gain);
  return first === undefined ? null : { numbers: first.numbers, gain: Number(first.gain.toFixed(4)) };
}
