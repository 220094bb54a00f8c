import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { RESULTS } from "../results.js";
import { table } from "./tables.js";

/** What `timing.ts` measured of one kind of request. */
export interface TimingRow {
  readonly name: string;
  readonly microseconds: number;
  /** To the first row, median of neighbouring slices. */
  readonly ratio: number;
  readonly p99: number;
}

export interface Timing {
  readonly machine: string;
  readonly rows: readonly TimingRow[];
}

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
    `768 to 768 at rank 2, means over slices of 1,000 requests that take turns (\`npm --prefix bench/learning run timing\`); the guard checks every 32 updates, the check included. ${machine}.`,
    table(["", "µs", "× the plain fused step", "p99, µs"], lines),
  ].join("\n\n");
}
