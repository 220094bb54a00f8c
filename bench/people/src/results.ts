import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Extras } from "./extras.js";
import type { Result } from "./measure.js";
import type { Done } from "./worker.js";

const FOLDER = resolve(import.meta.dirname, "../results");

/** What is known of one problem. */
export interface Saved {
  readonly result?: Result;
  readonly extras?: Extras;
}

export function loadResult(name: string): Saved {
  const file = join(FOLDER, `${name}.json`);
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
}

/** Adds what was measured to the problem's file, with four digits. */
export function saveResult(done: Exclude<Done, { kind: "tune" }>): void {
  mkdirSync(FOLDER, { recursive: true });
  const added = done.kind === "measure" ? { result: done.result } : { extras: done.extras };
  const rounded = (_: string, value: unknown) => (typeof value === "number" ? Number(value.toFixed(4)) : value);
  writeFileSync(
    join(FOLDER, `${done.name}.json`),
    `${JSON.stringify({ ...loadResult(done.name), ...added }, rounded, 1)}\n`,
  );
}
