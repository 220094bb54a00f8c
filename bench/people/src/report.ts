import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { resolve } from "node:path";
import type { Row } from "@microlora/evaluate";
import type { Extras } from "./extras.js";
import { OURS, type Result } from "./measure.js";
import { PROBLEMS } from "./problems.js";
import { loadResult } from "./results.js";

const ROOT = resolve(import.meta.dirname, "../../..");
const FILE = resolve(ROOT, "docs/results/people.md");

/** Writes docs/results/people.md from the results that are there. */
export function writeReport(): void {
  const known = Object.entries(PROBLEMS).map(([name, entry]) => ({ ...entry, name, ...loadResult(name) }));
  const sections = [
    introduction(),
    "## In short",
    table(
      [
        "problem",
        "people",
        "base",
        "gain [95 %]",
        "by name / half",
        "who lose",
        "best baseline within 2 %",
        "ours above it",
      ],
      known.flatMap(({ title, shaped, result }) => (result === undefined ? [] : [summary(title, shaped, result)])),
    ),
    ...known.flatMap(({ title, result, extras }) => [
      ...(result === undefined ? [] : details(title, result)),
      ...(extras === undefined ? [] : [beside(extras)]),
    ]),
  ];
  const missing = known.filter(({ result }) => result === undefined).map(({ title }) => title);
  if (missing.length > 0) sections.push(`Not run yet: ${missing.join("; ")}.`);
  writeFileSync(FILE, `${sections.join("\n\n")}\n`);
}

function introduction(): string {
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: ROOT, encoding: "utf8" }).trim();
  const date = new Date().toISOString().slice(0, 10);
  return `# Learning on real people

Written by \`npm run bench:people\` on ${date} at commit ${commit}, Node ${process.versions.node}, ${cpus()[0]?.model.trim()}.
It runs \`Personalizer\` as it ships, with its defaults, once on each test person.

- A person's choices come in the order of time: rank, note, then learn. The last fifth is held out and measured frozen.
- *base*: mean reciprocal rank (MRR) by cosine alone; for ratings, the share of pairs told apart. *gain*: change of it, mean over people, with
  a 95 % bootstrap interval over people. *who lose*: share of people for whom it falls.
- *by name / half*: change, in percent, of finding an item by its name and by the first half of its name.
- Settings of the baselines were tuned on other people of the same data set, twice: for gain alone, and for gain at a cost of 2 % at most.
- Microseconds were taken on a machine that did other work at the same time; compare them within a table only.
- A star marks data sets on which no default of the library was chosen.`;
}

function summary(title: string, shaped: boolean, { people, base, rows }: Result): string[] {
  const [ours] = rows;
  const best = rows
    .filter(({ label, names, halves }) => !label.startsWith(OURS) && (names ?? 0) >= -2 && (halves ?? 0) >= -2)
    .reduce<Row | null>((a, row) => (a === null || row.gain.mean > a.gain.mean ? row : a), null);
  return [
    `${title}${shaped ? "" : " *"}`,
    `${people}`,
    fixed(base.heldOut),
    interval(ours!.gain),
    `${percent(ours!.names)} / ${percent(ours!.halves)}`,
    `${Math.round(100 * ours!.harmed)} %`,
    best === null ? "–" : `${best.label.split(",")[0]} ${signed(best.gain.mean)}`,
    best === null ? "–" : interval(best.oursAbove),
  ];
}

function details(title: string, { people, choices, base, rows, ablations }: Result): string[] {
  const head = [
    ...["", "gain [95 %]", "ours above [95 %]", "who lose", "by name / half", "chosen before", "other topics"],
    ...["choices 1-10", "choices 11-50", "µs", "bytes"],
  ];
  return [
    `## ${title}`,
    `${people} people, ${choices} choices each; base ${fixed(base.heldOut)}, things chosen before ${fixed(base.repeats)}, other topics ${fixed(base.otherTopics)}.`,
    table(head, rows.map(cells)),
    `Parts of \`${OURS}\`, one at a time, on the first 40 of these people:`,
    table(head, ablations.map(cells)),
  ];
}

function cells(row: Row): string[] {
  return [
    row.label,
    interval(row.gain),
    row.label === OURS ? "" : interval(row.oursAbove),
    `${Math.round(100 * row.harmed)} %`,
    `${percent(row.names)} / ${percent(row.halves)}`,
    fixed(row.repeats),
    signed(row.otherTopics),
    signed(row.first),
    signed(row.later),
    row.microseconds.toFixed(0),
    row.bytes === null ? "–" : row.bytes.toFixed(0),
  ];
}

function beside({ people, drift, long, someoneElse, tenShown, tenShownAndNothing, prior }: Extras): string {
  const series = (values: Readonly<Record<string, number>>) =>
    Object.entries(values)
      .map(([clicks, value]) => `${clicks}: ${signed(value)}`)
      .join(", ");
  const lines = [
    `Of ${people} test people, gains of MRR:`,
    `- Drift: an old state less a fresh one, after so many clicks of somebody else: ${series(drift)}.`,
    `- Long histories, the own choices again and again up to so many clicks: ${series(long)}.`,
    `- On somebody else's choices: ${interval(someoneElse)}.`,
    `- Pages of ten: clicks alone ${interval(tenShown)}; with "nothing was clicked" ${interval(tenShownAndNothing)}.`,
  ];
  if (prior !== null) {
    lines.push(
      `- A prior of ${prior.people} other people, above a new user without it: first five choices ${interval(prior.firstFive)}, choices 6 to 20 ` +
        `${interval(prior.nextFifteen)}, held-out ${interval(prior.heldOut)}; by name ${percent(prior.names)}, by half ${percent(prior.halves)}.`,
    );
  }
  return lines.join("\n");
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

function interval({ mean, low, high }: Row["gain"]): string {
  return `${signed(mean)} [${signed(low)}, ${signed(high)}]`;
}

function signed(value: number | null): string {
  if (value === null || Number.isNaN(value)) return "–";
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
}

function fixed(value: number | null): string {
  return value === null ? "–" : value.toFixed(3);
}

function percent(value: number | null): string {
  return value === null ? "–" : `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)} %`;
}
