import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Knobs } from "./knobs.js";
import { entryOf, type ProblemName } from "./problems.js";
import type { SettingName } from "./settings.js";

type Hyperparameters = Partial<Record<ProblemName, Partial<Record<SettingName, Knobs>>>>;

const FILE = resolve(import.meta.dirname, "../hyperparameters.json");

/** What `npm run tune` chose on validation users; undefined for what was not tuned, and so is not run. */
export function knobsOf(problem: ProblemName, setting: SettingName): Knobs | undefined {
  const { tunedOn = problem } = entryOf(problem);
  return read()[tunedOn as ProblemName]?.[setting];
}

/** Read again before it is written, so that several problems can be tuned at a time. */
export function saveKnobs(problem: ProblemName, setting: SettingName, knobs: Knobs): void {
  const known = read();
  const hyperparameters = { ...known, [problem]: { ...known[problem], [setting]: knobs } };
  const problems = Object.entries(hyperparameters).map(([name, settings]) => {
    const rows = Object.entries(settings).map(
      ([row, chosen]) => `    ${JSON.stringify(row)}: ${JSON.stringify(chosen)}`,
    );
    return `  ${JSON.stringify(name)}: {\n${rows.join(",\n")}\n  }`;
  });
  writeFileSync(FILE, `{\n${problems.join(",\n")}\n}\n`);
}

function read(): Hyperparameters {
  return JSON.parse(readFileSync(FILE, "utf8"));
}
