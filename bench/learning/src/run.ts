import { mean } from "./first-run.js";
import { knobsOf } from "./hyperparameters.js";
import type { Problem } from "./problem.js";
import type { ProblemName } from "./problems.js";
import type { Run, SettingResult } from "./results.js";
import { type SettingName, settingOf } from "./settings.js";
import { runTrial } from "./trial.js";

export interface SettingRun {
  readonly result: SettingResult;
  /** Mean of a learning request. */
  readonly microseconds: number;
}

/** A setting on reported users, with the frozen hyper-parameters; null where it does not apply or was not tuned. */
export async function runSetting(
  name: ProblemName,
  problem: Problem,
  setting: SettingName,
  seeds: readonly number[],
): Promise<SettingRun | null> {
  const knobs = knobsOf(name, setting);
  if (knobs === undefined) return null;
  const runs: Run[] = [];
  const times: number[] = [];
  for (const seed of seeds) {
    using trial = await problem.start(setting, knobs, seed, "reported");
    if (trial === null) return null;
    const { microseconds, ...outcome } = await runTrial(trial, settingOf(setting).joint === true);
    runs.push({ seed, ...outcome });
    times.push(microseconds);
  }
  return { result: { knobs, runs }, microseconds: mean(times) };
}
