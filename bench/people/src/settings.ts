import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Numbers } from "./replay/index.js";

/** Settings of a baseline on one problem, and their gain on tune people. */
export interface Chosen {
  readonly numbers: Numbers;
  readonly gain: number;
}

/** The settings that gain most, and those that gain most at a cost of 2 % by name at most. */
export interface TunedBaseline {
  readonly free: Chosen;
  /** null where every setting costs more. */
  readonly within: Chosen | null;
}

export type Tuned = Readonly<Record<string, TunedBaseline>>;

const FILE = resolve(import.meta.dirname, "../settings.json");

/** The frozen settings of every problem; none where they were never tuned. */
export function readSettings(): Readonly<Record<string, Tuned>> {
  return existsSync(FILE) ? JSON.parse(readFileSync(FILE, "utf8")) : {};
}

export function saveSettings(name: string, tuned: Tuned): void {
  const all = { ...readSettings(), [name]: tuned };
  const sorted = Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(FILE, `${JSON.stringify(sorted, null, 1)}\n`);
}
