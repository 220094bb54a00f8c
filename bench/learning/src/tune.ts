/**
 * `npm --prefix bench/learning run tune [-- --only=PROBLEM,… --settings=SETTING,…]`: chooses the hyper-parameters on
 * validation users and writes them to `hyperparameters.json`. The reported users are never looked at here.
 */
import { parseArgs } from "node:util";
import { mean } from "./first-run.js";
import { HYPERPARAMETERS, saveHyperparameters } from "./hyperparameters.js";
import type { Knobs } from "./knobs.js";
import { balanceOf } from "./metrics.js";
import { namesFrom } from "./names.js";
import type { Problem } from "./problem.js";
import { PROBLEM_NAMES, PROBLEMS } from "./problems.js";
import { SETTING_NAMES, type SettingName, settingOf } from "./settings.js";
import { finalQuality } from "./trial.js";

const LEARNING_RATES = [0.001, 0.003, 0.01, 0.03, 0.1];
const LAMBDAS = [1, 10, 100, 1000, 10_000];
const OBJECTIVES: Readonly<Record<Problem["objective"], (final: readonly number[]) => number>> = {
  acc: mean,
  balance: balanceOf,
};
const START: Knobs = { learningRate: 0.01, lambda: 100 };

/** Coordinate by coordinate: the rate, what holds, then both once more around what was found. */
async function tune(problem: Problem, name: SettingName): Promise<Knobs> {
  const { slow, hold } = settingOf(name);
  const tried = new Map<string, number>();
  let best = START;
  const consider = async (candidates: readonly Knobs[]): Promise<void> => {
    for (const knobs of candidates) {
      const key = JSON.stringify(knobs);
      if (!tried.has(key)) tried.set(key, await objective(problem, name, knobs));
      if (tried.get(key)! > tried.get(JSON.stringify(best))!) best = knobs;
    }
  };
  if (slow === "none") return { learningRate: 0, lambda: 0 };
  await consider([best, ...LEARNING_RATES.map((learningRate) => ({ ...best, learningRate }))]);
  if (hold !== undefined) await consider(LAMBDAS.map((lambda) => ({ ...best, lambda })));
  await consider(around(best.learningRate).map((learningRate) => ({ ...best, learningRate })));
  if (hold !== undefined) await consider(around(best.lambda).map((lambda) => ({ ...best, lambda })));
  return hold === undefined ? { ...best, lambda: 0 } : best;
}

function around(value: number): number[] {
  return [value / 3, value / 1.7, value * 1.7, value * 3].map((each) => Number(each.toPrecision(2)));
}

async function objective(problem: Problem, name: SettingName, knobs: Knobs): Promise<number> {
  const values: number[] = [];
  for (const seed of problem.seeds("validation")) {
    using trial = await problem.start(name, knobs, seed, "validation");
    values.push(OBJECTIVES[problem.objective](finalQuality(trial, settingOf(name).joint === true)));
  }
  return mean(values);
}

const { values } = parseArgs({ options: { only: { type: "string" }, settings: { type: "string" } } });
for (const name of namesFrom(values.only, PROBLEM_NAMES)) {
  const problem = await PROBLEMS[name].load();
  if (problem === null) {
    console.error(`${name}: left out, its model is not here`);
    continue;
  }
  for (const setting of namesFrom(values.settings, SETTING_NAMES)) {
    const knobs = await tune(problem, setting);
    console.error(`${name}: ${setting} ${JSON.stringify(knobs)}`);
    HYPERPARAMETERS[name] = { ...HYPERPARAMETERS[name], [setting]: knobs };
    saveHyperparameters(HYPERPARAMETERS);
  }
}
