import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { interval95, mean } from "./first-run.js";
import type { Knobs } from "./knobs.js";
import { figuresOf } from "./metrics.js";
import type { Problem } from "./problem.js";
import type { ProblemName } from "./problems.js";
import type { SettingName } from "./settings.js";
import type { Outcome } from "./trial.js";

/** One seeded user's outcome as it is kept: without its times, so that the same run gives the same file. */
export type Run = Omit<Outcome, "microseconds"> & { readonly seed: number };

export interface SettingResult {
  readonly knobs: Knobs;
  readonly runs: readonly Run[];
}

export interface ProblemResult {
  readonly quality: Problem["quality"];
  /** The kernels that ran, whose last bits may differ from those of others. */
  readonly kernels: string;
  readonly settings: Readonly<Partial<Record<SettingName, SettingResult>>>;
}

/** Mean microseconds of a learning request. */
export type Times = Partial<Record<SettingName, number>>;

export const RESULTS = resolve(import.meta.dirname, "../results");

export function resultFile(problem: ProblemName): string {
  return join(RESULTS, `${problem}.json`);
}

/** A line a run, so that a difference between two runs of the program can be read. */
export function saveResult(problem: ProblemName, { settings, ...rest }: ProblemResult): void {
  mkdirSync(RESULTS, { recursive: true });
  const parts = Object.entries(settings).map(([name, { knobs, runs }]) => {
    const lines = runs.map((run) => `      ${JSON.stringify(run, rounded)}`).join(",\n");
    return `    ${JSON.stringify(name)}: { "knobs": ${JSON.stringify(knobs)}, "runs": [\n${lines}\n    ] }`;
  });
  const head = JSON.stringify(rest).slice(1, -1);
  writeFileSync(resultFile(problem), `{ ${head}, "settings": {\n${parts.join(",\n")}\n} }\n`);
}

export function loadResult(problem: ProblemName): ProblemResult | null {
  const file = resultFile(problem);
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : null;
}

type AllTimes = Partial<Record<ProblemName, Times>>;

/** Times lie apart from the results, as they alone differ from run to run. */
const TIMES = join(RESULTS, "times.json");

export function loadTimes(): AllTimes {
  return existsSync(TIMES) ? JSON.parse(readFileSync(TIMES, "utf8")) : {};
}

export function saveTimes(problem: ProblemName, times: Times): void {
  const all = loadTimes();
  writeFileSync(TIMES, `${JSON.stringify({ ...all, [problem]: { ...all[problem], ...times } }, rounded, 2)}\n`);
}

/** A mean and half the width of its 95 % interval. */
export interface Estimate {
  readonly mean: number;
  readonly interval: number;
}

export function estimate(values: readonly number[]): Estimate {
  return { mean: mean(values), interval: interval95(values) };
}

/** A figure of each run: one of the metrics, what ACC gained over the base, the change on unrelated requests, or one of the problem's own. */
export function figure(runs: readonly Run[], name: string): number[] {
  return runs.map((run) => {
    if (name === "collateral") return run.unrelated.after / run.unrelated.before - 1;
    if (name === "bytes") return run.bytes;
    const sequence = figuresOf(run.matrix);
    if (name === "gain") return sequence.acc - sequence.base;
    const figures: Readonly<Record<string, number>> = { ...sequence, ...run.extra };
    const value = figures[name];
    if (value === undefined) throw new RangeError(`${name} is no figure of these runs`);
    return value;
  });
}

function rounded(_key: string, value: unknown): unknown {
  return typeof value === "number" ? Number(value.toFixed(5)) : value;
}
