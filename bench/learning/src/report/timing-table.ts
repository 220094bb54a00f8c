import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { RESULTS } from "../results.js";
import { table } from "./tables.js";

/** What `timing.ts` measured of one kind of request. */
export interface TimingRow {
  readonly name: string;
  /** Mean of the fastest slice. */
  readonly microseconds: number;
  /** To the first row. */
  readonly ratio: number;
  readonly p99: number;
}

export interface Timing {
  readonly machine: string;
  readonly rows: readonly TimingRow[];
}

/** The row of the fused step with all that the kernel can do. */
export const FUSED = "plain fused step with EWC and its Fisher";

/** The row of a request that computes its own loss and gradient. */
export const CHOICE = "a choice, by a Learner";

export const TIMING = join(RESULTS, "timing.json");

export function loadTiming(): Timing | null {
  return existsSync(TIMING) ? JSON.parse(readFileSync(TIMING, "utf8")) : null;
}

export function timingSection({ machine, rows }: Timing): string {
  const lines = rows.map(({ name, microseconds, ratio, p99 }) => [
    name,
    microseconds.toFixed(2),
    ratio.toFixed(1),
    p99.toFixed(1),
  ]);
  return [
    "## What a learning request takes",
    `768 to 768 at rank 2, the fastest of 401 slices of 128 requests that take turns, p99 of 1,000 single calls (\`npm --prefix bench/learning run timing\`); the guard checks every 64 updates, the check included. ${machine}.`,
    verdict(rows),
    table(["", "µs", "× the plain fused step", "p99, µs"], lines),
  ].join("\n\n");
}

/** The aim is 3 times the fused step, bare or with EWC; beside it, what the same is to the request without any of it. */
function verdict(rows: readonly TimingRow[]): string {
  const whole = rows.at(-1);
  const choice = rows.find(({ name }) => name === CHOICE);
  const fused = rows.find(({ name }) => name === FUSED);
  if (whole === undefined || choice === undefined || fused === undefined) return "";
  const times = (row: TimingRow) => whole.microseconds / row.microseconds;
  const aim = (ratio: number) => `${ratio.toFixed(1)} times (aim: 3, ${ratio <= 3 ? "met" : "missed"})`;
  return `The whole request takes ${aim(whole.ratio)} the bare fused step, which is handed its gradient, ${aim(times(fused))} the fused step with EWC, and ${times(choice).toFixed(1)} times the same choice without EWC, limit and guard.`;
}
