import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Knobs } from "./knobs.js";
import { entryOf, type ProblemName } from "./problems.js";
import type { SettingName } from "./settings.js";

export type Hyperparameters = Partial<Record<ProblemName, Partial<Record<SettingName, Knobs>>>>;

const FILE = resolve(import.meta.dirname, "../hyperparameters.json");

/** What `npm run tune` chose on validation users, frozen before the reported ones are looked at. */
export const HYPERPARAMETERS: Hyperparameters = JSON.parse(readFileSync(FILE, "utf8"));

/** undefined for what was not tuned, and so is not run. */
export function knobsOf(problem: ProblemName, setting: SettingName): Knobs | undefined {
  const { tunedOn = problem } = entryOf(problem);
  return HYPERPARAMETERS[tunedOn as ProblemName]?.[setting];
}

export function saveHyperparameters(hyperparameters: Hyperparameters): void {
  const problems = Object.entries(hyperparameters).map(([problem, settings]) => {
    const rows = Object.entries(settings).map(([name, knobs]) => `    ${JSON.stringify(name)}: ${JSON.stringify(knobs)}`);
    return `  ${JSON.stringify(problem)}: {\n${rows.join(",\n")}\n  }`;
  });
  writeFileSync(FILE, `{\n${problems.join(",\n")}\n}\n`);
}
