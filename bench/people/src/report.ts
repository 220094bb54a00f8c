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
    ...besideIt(
      known.flatMap(({ title, shaped, extras }) => (extras === undefined ? [] : [{ title, shaped, extras }])),
    ),
    ...known.flatMap(({ title, result }) => (result === undefined ? [] : details(title, result))),
  ];
  const missing = known.filter(({ result }) => result === undefined).map(({ title }) => title);
  if (missing.length > 0) sections.push(`Not run yet beside the baselines: ${missing.join("; ")}.`);
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

interface Measured {
  readonly title: string;
  readonly shaped: boolean;
  readonly extras: Extras;
}

/** Losses above this are told as misses. */
const MISS = 0.01;

/** Drift, long histories, pages of ten and the shared prior, of all problems in one table, and where they miss. */
function besideIt(measured: readonly Measured[]): string[] {
  if (measured.length === 0) return [];
  const series = (values: readonly (number | undefined)[]) => values.map((value) => signed(value ?? null)).join(", ");
  const rows = measured.map(({ title, shaped, extras }) => {
    const { drift, long, someoneElse, tenShown, tenShownAndNothing } = extras;
    return [
      `${title}${shaped ? "" : " *"}`,
      series([drift[0], drift[5], drift[10], drift[20]]),
      interval(someoneElse),
      series([long.once, long[250], long[500], long[1000]]),
      `${interval(tenShown)}; ${interval(tenShownAndNothing)}`,
    ];
  });
  const priors = measured.flatMap(({ title, shaped, extras: { prior } }) =>
    prior === null
      ? []
      : [
          [
            `${title}${shaped ? "" : " *"}`,
            interval(prior.firstFive),
            interval(prior.nextFifteen),
            interval(prior.heldOut),
            `${percent(prior.names)} / ${percent(prior.halves)}`,
          ],
        ],
  );
  const missing = (isMissed: (extras: Extras) => boolean) =>
    measured
      .filter(({ extras }) => isMissed(extras))
      .map(({ title }) => title)
      .join("; ") || "none";
  return [
    "## Drift, long histories, pages of ten, a prior",
    `Changes of MRR on held-out choices, mean over ${measured[0]!.extras.people} test people; long histories over the first 30 of them.

- *old less fresh*: a state that has learned from one person, less a fresh one, after 0, 5, 10 and 20 choices of somebody else, whose held-out choices
  are measured.
- *somebody else*: that state, before any choice of theirs, less the base.
- *long*: the gain after the own choices once, and after 250, 500 and 1,000 choices in all, drawn again and again from the own ones.
- *ten shown*: the gain where only the ten best are shown, and learned from clicks alone; then also from pages where nothing was clicked.`,
    table(["problem", "old less fresh", "somebody else", "long", "ten shown"], rows),
    "A prior of 100 other people (`priorOf`, `forkFrom`), above a new user without it:",
    table(["problem", "first five choices", "choices 6 to 20", "held-out", "by name / half"], priors),
    `Misses, above ${MISS}:

- An old state is still behind a fresh one after ten choices: ${missing(({ drift }) => (drift[10] ?? 0) < -MISS)}; after twenty: ${missing(({ drift }) => (drift[20] ?? 0) < -MISS)}.
- 1,000 choices leave less than the own choices once: ${missing(({ long }) => long[1000]! < long.once! - MISS)}.
- "Nothing was clicked" takes something away: ${missing(({ tenShown, tenShownAndNothing }) => tenShownAndNothing.mean < tenShown.mean - MISS)}.
- The prior takes something away from the first five choices: ${missing(({ prior }) => prior !== null && prior.firstFive.mean < -MISS)}; from held-out choices: ${missing(({ prior }) => prior !== null && prior.heldOut.mean < -MISS)}.`,
  ];
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
