import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Tuned } from "@microlora/evaluate";

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
