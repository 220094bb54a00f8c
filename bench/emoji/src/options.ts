import { parseArgs } from "node:util";
import { TUNING_GROUPS } from "./hyperparameters.js";
import { parsed, UsageError } from "./usage-error.js";

export const AMONG = ["all", "tuning", "others"] as const;
export type Among = (typeof AMONG)[number];

export interface Options {
  readonly seed: number;
  /** Runs of consecutive seeds; with more than one, means and intervals are told. */
  readonly seeds: number;
  readonly group?: string;
  readonly among: Among;
  readonly clicks?: number;
  readonly rank?: number;
  readonly json: boolean;
  /** Where the report goes; null for none. */
  readonly report: string | null;
}

export const USAGE = `Usage: npm run bench:emoji -- [options]

  --seed N         the user and the two halves (default 1)
  --seeds N        N users, from --seed on: means with 95 % intervals
  --group NAME     a user who prefers one group everywhere, such as "Food & Drink"
  --among WHICH    groups that a taste by topic is drawn from: ${AMONG.join(", ")} (default all)
  --clicks N       learn from the first N clicks only
  --rank N         rank of the slow weights
  --json           print one JSON object as the last line
  --report FILE    where the HTML report goes (default microlora-report.html)
  --no-report      write none`;

const OPTIONS = {
  seed: { type: "string", default: "1" },
  seeds: { type: "string", default: "1" },
  group: { type: "string" },
  among: { type: "string", default: "all" },
  clicks: { type: "string" },
  rank: { type: "string" },
  json: { type: "boolean", default: false },
  report: { type: "string", default: "microlora-report.html" },
  "no-report": { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

/** @throws UsageError */
export function parseOptions(args: readonly string[], groups: readonly string[]): Options | "help" {
  const { values } = parsed(() => parseArgs({ args: [...args], options: OPTIONS }));
  if (values.help) return "help";
  const among = AMONG.find((name) => name === values.among);
  if (among === undefined) throw new UsageError(`--among takes ${AMONG.join(", ")}, not ${values.among}`);
  if (values.group !== undefined && !groups.includes(values.group)) {
    throw new UsageError(`There is no group ${JSON.stringify(values.group)}; there are ${groups.join(", ")}`);
  }
  return {
    seed: whole("--seed", values.seed, 0),
    seeds: whole("--seeds", values.seeds, 1),
    among,
    json: values.json,
    report: values["no-report"] ? null : values.report,
    ...(values.group !== undefined && { group: values.group }),
    ...(values.clicks !== undefined && { clicks: whole("--clicks", values.clicks, 1) }),
    ...(values.rank !== undefined && { rank: whole("--rank", values.rank, 1, 64) }),
  };
}

export function groupsAmong(among: Among, groups: readonly string[]): readonly string[] {
  const isTuning = (group: string) => (TUNING_GROUPS as readonly string[]).includes(group);
  if (among === "all") return groups;
  return groups.filter((group) => isTuning(group) === (among === "tuning"));
}

function whole(name: string, text: string, least: number, most = 2 ** 31 - 1): number {
  const value = Number(text);
  if (text.trim() !== "" && Number.isInteger(value) && value >= least && value <= most) return value;
  throw new UsageError(`${name} takes a whole number from ${least} to ${most}, not ${JSON.stringify(text)}`);
}
