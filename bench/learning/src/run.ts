import { Runtime } from "microlora";
import { mean } from "./first-run.js";
import { knobsOf } from "./hyperparameters.js";
import type { Problem } from "./problem.js";
import type { ProblemName } from "./problems.js";
import type { ProblemResult, Run, SettingResult, Times } from "./results.js";
import { type SettingName, settingOf } from "./settings.js";
import { runTrial } from "./trial.js";

/** Every setting on the reported users of a problem, with the frozen hyper-parameters. */
export async function runProblem(
  name: ProblemName,
  problem: Problem,
  settings: readonly SettingName[],
  seeds: readonly number[],
  onProgress: (text: string) => void,
): Promise<{ readonly result: ProblemResult; readonly times: Times }> {
  const results: Partial<Record<SettingName, SettingResult>> = {};
  const times: Times = {};
  for (const setting of settings) {
    const knobs = knobsOf(name, setting);
    if (knobs === undefined) continue;
    const runs: Run[] = [];
    const microseconds: number[] = [];
    for (const seed of seeds) {
      onProgress(`${name}: ${setting}, seed ${seed}`);
      using trial = await problem.start(setting, knobs, seed, "reported");
      if (trial === null) break;
      const { microseconds: time, ...outcome } = await runTrial(trial, settingOf(setting).joint === true);
      runs.push({ seed, ...outcome });
      microseconds.push(time);
    }
    if (runs.length === 0) continue;
    results[setting] = { knobs, runs };
    times[setting] = mean(microseconds);
  }
  const { kernels } = await Runtime.create({ memoryBytes: 2 ** 20 });
  return { result: { quality: problem.quality, kernels: kernels.name, settings: results }, times };
}
