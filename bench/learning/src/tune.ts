/**
 * `npm --prefix bench/learning run tune [-- --only=PROBLEM,… --settings=SETTING,…]`: chooses the hyper-parameters on
 * validation users and writes them to `hyperparameters.json`. The reported users are never looked at here.
 */
import { parseArgs } from "node:util";
import { type ErrorCode, MicroLoraError } from "microlora";
import { mean } from "./first-run.js";
import { knobsOf, saveKnobs } from "./hyperparameters.js";
import type { Knobs } from "./knobs.js";
import { type Figures, figuresOf } from "./metrics.js";
import { namesFrom } from "./names.js";
import type { Problem } from "./problem.js";
import { entryOf, PROBLEM_NAMES } from "./problems.js";
import { SETTING_NAMES, type SettingName, settingOf } from "./settings.js";
import { finalQuality, runTrial } from "./trial.js";

const LEARNING_RATES = [0.001, 0.003, 0.01, 0.03];
const LAMBDAS = [0.1, 1, 10, 100, 1000];
/** What the library refuses to learn from once training has left all bounds. */
const DIVERGED: readonly ErrorCode[] = ["not-finite", "update-overflow"];
const FINER_ROUNDS = 8;
const FIRM_STEPS = 6;
const FIRM_LEARNING = 0.92;
const GATED_RATES = [0.001, 0.003, 0.01, 0.03, 0.1];
const GATED_LAMBDAS = [30, 200, 1000, 5000];
const START: Knobs = { learningRate: 0.01, lambda: 100 };

/**
 * Coordinate by coordinate: the rate, the weight of what holds, then each once more in finer steps, as long as that helps.
 * @returns null where a setting does not apply
 */
async function tune(problem: Problem, name: SettingName): Promise<Knobs | null> {
  const { slow, hold, asItComes } = settingOf(name);
  let best = hold === undefined ? { ...START, lambda: 0 } : START;
  let highest = await objective(problem, name, best);
  if (highest === null) return null;
  if (slow === "none" || asItComes === true) return { learningRate: 0, lambda: 0 };
  const improve = async (candidates: readonly Knobs[]): Promise<boolean> => {
    const from = best;
    for (const knobs of candidates) {
      const value = await objective(problem, name, knobs);
      if (value === null || highest === null || value <= highest) continue;
      best = knobs;
      highest = value;
    }
    return best !== from;
  };
  await improve(LEARNING_RATES.map((learningRate) => ({ ...best, learningRate })));
  if (hold !== undefined) await improve(LAMBDAS.map((lambda) => ({ ...best, lambda })));
  for (const knob of hold === undefined ? (["learningRate"] as const) : (["learningRate", "lambda"] as const)) {
    let rounds = 0;
    while (rounds++ < FINER_ROUNDS && (await improve(around(best[knob]).map((value) => ({ ...best, [knob]: value })))));
  }
  return best;
}

/** Settings whose knobs follow from another's, so that one thing differs. */
const DERIVED: Readonly<Partial<Record<SettingName, (problem: Problem, of: Knobs) => Promise<Knobs>>>> = {
  noneAtRate: async (_, { learningRate }) => ({ learningRate, lambda: 0 }),
  onlineEwcFirm: async (problem, of) => {
    const lambdas = Array.from({ length: FIRM_STEPS }, (_, step) => of.lambda * 2 ** step);
    return firm(problem, "onlineEwc", of, [of.learningRate], lambdas);
  },
  gatedEwc: (problem, of) => firm(problem, "gatedEwc", of, GATED_RATES, GATED_LAMBDAS),
  ewcDetected: async (_, of) => of,
  ewcGuarded: async (_, of) => of,
};
const DERIVED_FROM: SettingName = "onlineEwc";

/**
 * What forgets least of those that learn nearly what is learned without a penalty, at the rate of online EWC; what learns most if
 * none does.
 */
async function firm(
  problem: Problem,
  name: SettingName,
  of: Knobs,
  rates: readonly number[],
  lambdas: readonly number[],
): Promise<Knobs> {
  const free = await sessionsOf(problem, "none", { learningRate: of.learningRate, lambda: 0 });
  const all = rates.flatMap((learningRate) => lambdas.map((lambda) => ({ learningRate, lambda })));
  const tried: { readonly knobs: Knobs; readonly learning: number; readonly forgetting: number }[] = [];
  for (const knobs of all) tried.push({ knobs, ...(await sessionsOf(problem, name, knobs)) });
  const able = tried.filter(({ learning }) => learning >= FIRM_LEARNING * free.learning);
  const [best] =
    able.length > 0
      ? able.toSorted((a, b) => a.forgetting - b.forgetting)
      : tried.toSorted((a, b) => b.learning - a.learning);
  return best!.knobs;
}

async function sessionsOf(problem: Problem, name: SettingName, knobs: Knobs) {
  const figures: Figures[] = [];
  for (const seed of problem.seeds("validation")) {
    using trial = await problem.start(name, knobs, seed, "validation");
    if (trial !== null) figures.push(figuresOf((await runTrial(trial, false)).matrix));
  }
  const average = (of: (each: Figures) => number) => mean(figures.map(of));
  return { learning: average(({ learning }) => learning), forgetting: average(({ forgetting }) => forgetting) };
}

function around(value: number): number[] {
  return [value / 2, value * 2].map((each) => Number(each.toPrecision(2)));
}

/** Mean over the validation users; a rate at which training diverges is worse than any other. */
async function objective(problem: Problem, name: SettingName, knobs: Knobs): Promise<number | null> {
  const values: number[] = [];
  for (const seed of problem.seeds("validation")) {
    using trial = await problem.start(name, knobs, seed, "validation");
    if (trial === null) return null;
    try {
      values.push(mean(await finalQuality(trial, settingOf(name).joint === true)));
    } catch (error) {
      if (!(error instanceof MicroLoraError && DIVERGED.includes(error.code))) throw error;
      return Number.NEGATIVE_INFINITY;
    }
  }
  return mean(values);
}

const { values } = parseArgs({ options: { only: { type: "string" }, settings: { type: "string" } } });
for (const name of namesFrom(values.only, PROBLEM_NAMES)) {
  if (entryOf(name).tunedOn !== undefined) continue;
  const problem = await entryOf(name).load();
  if (problem === null) {
    console.error(`${name}: left out, its model is not here`);
    continue;
  }
  const settings = namesFrom(values.settings, SETTING_NAMES);
  const derivedLast = settings.toSorted((a, b) => Number(a in DERIVED) - Number(b in DERIVED));
  for (const setting of derivedLast) {
    const derive = DERIVED[setting];
    const from = knobsOf(name, DERIVED_FROM);
    if (derive !== undefined && from === undefined) throw new Error(`Tune ${DERIVED_FROM} before ${setting}`);
    const knobs = derive === undefined ? await tune(problem, setting) : await derive(problem, from!);
    if (knobs === null) continue;
    console.error(`${name}: ${setting} ${JSON.stringify(knobs)}`);
    saveKnobs(name, setting, knobs);
  }
}
