import { PROBLEMS, type ProblemName } from "../problems.js";
import { type Estimate, estimate, figure, type ProblemResult, type Run, type Times } from "../results.js";
import { SETTINGS, type SettingName } from "../settings.js";

interface Column {
  readonly title: string;
  /** Name of the figure, see `figure`. */
  readonly figure: string;
  readonly text: (value: Estimate) => string;
}

/** A mean with its 95 % interval. */
export function interval({ mean, interval: half }: Estimate): string {
  return `${mean.toFixed(3)} ± ${half.toFixed(3)}`;
}

const percent = ({ mean, interval: half }: Estimate) => `${(100 * mean).toFixed(1)} ± ${(100 * half).toFixed(1)} %`;
const kilobytes = ({ mean }: Estimate) => (mean / 1024).toFixed(0);

const COLUMNS: readonly Column[] = [
  { title: "ACC", figure: "acc", text: interval },
  { title: "gain", figure: "gain", text: interval },
  { title: "BWT", figure: "bwt", text: interval },
  { title: "forgetting", figure: "forgetting", text: interval },
  { title: "learning", figure: "learning", text: interval },
  { title: "newest", figure: "newest", text: interval },
  { title: "unrelated", figure: "collateral", text: percent },
];

const EXTRA_TITLES: Readonly<Record<string, string>> = {
  prequential: "answers right on the way",
  onReturn: "first ten of a return",
  afterDrift: "the new idea",
  restAfterDrift: "the rest after it",
};

/** The main table of a problem: one row a setting, means with 95 % intervals over the seeds. */
export function mainTable(result: ProblemResult, times: Times): string {
  const rows = rowsOf(result).map(([name, runs]) => [
    SETTINGS[name].label,
    ...COLUMNS.map(({ figure: of, text }) => text(estimate(figure(runs, of)))),
    kilobytes(estimate(figure(runs, "bytes"))),
    times[name]?.toFixed(0) ?? "",
  ]);
  return table(["", ...COLUMNS.map(({ title }) => title), "KB", "µs"], rows);
}

/** What a problem tells beside the metrics that all have; null if nothing. */
export function extraTable(result: ProblemResult): string | null {
  const [first] = rowsOf(result);
  const names = Object.keys(first?.[1][0]?.extra ?? {});
  if (names.length === 0) return null;
  const rows = rowsOf(result).map(([name, runs]) => [
    SETTINGS[name].label,
    ...names.map((extra) => interval(estimate(figure(runs, extra)))),
  ]);
  return table(["", ...names.map((name) => EXTRA_TITLES[name] ?? name)], rows);
}

export function rowsOf(result: ProblemResult): [SettingName, readonly Run[]][] {
  return (Object.keys(SETTINGS) as SettingName[]).flatMap((name) => {
    const setting = result.settings[name];
    return setting === undefined ? [] : [[name, setting.runs]];
  });
}

/** How a problem was run: title, number of users, quality. */
export function heading(name: ProblemName, { quality, settings }: ProblemResult): string {
  const [first] = Object.values(settings);
  return `## ${PROBLEMS[name].title}\n\nMean ${quality} over ${first?.runs.length ?? 0} seeds ± 95 %.`;
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
