import { appendFileSync, existsSync, readFileSync } from "node:fs";
import type { JobResult } from "./jobs.js";

/** What was done already, a line for each user, so that a run that was stopped goes on. */
export class Journal {
  readonly #path: string;
  readonly #results = new Map<string, JobResult>();

  constructor(path: string) {
    this.#path = path;
    if (!existsSync(path)) return;
    const text = readFileSync(path, "utf8");
    if (text !== "" && !text.endsWith("\n")) appendFileSync(path, "\n");
    for (const line of text.split("\n")) {
      const result = resultOf(line);
      if (result !== undefined) this.#results.set(`${result.place} ${result.i}`, result);
    }
  }

  add(result: JobResult): void {
    this.#results.set(`${result.place} ${result.i}`, result);
    appendFileSync(this.#path, `${JSON.stringify(result, withNaN)}\n`);
  }

  has(place: JobResult["place"], i: number): boolean {
    return this.#results.has(`${place} ${i}`);
  }

  /** In the order of users. */
  of<Place extends JobResult["place"]>(place: Place): Extract<JobResult, { place: Place }>[] {
    const found = [...this.#results.values()].filter((result) => result.place === place);
    return found.sort((a, b) => a.i - b.i) as Extract<JobResult, { place: Place }>[];
  }
}

const NOT_A_NUMBER = "NaN";

function withNaN(_: string, value: unknown): unknown {
  return typeof value === "number" && Number.isNaN(value) ? NOT_A_NUMBER : value;
}

/** The result of a line; undefined for one that was cut off when the run was stopped. */
function resultOf(line: string): JobResult | undefined {
  if (line === "") return undefined;
  try {
    return JSON.parse(line, (_, value) => (value === NOT_A_NUMBER ? Number.NaN : value));
  } catch {
    return undefined;
  }
}
