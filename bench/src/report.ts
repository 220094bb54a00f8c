import type { Aim } from "./aims.js";
import type { ColdStart } from "./cold-start.js";
import type { Machine } from "./machine.js";
import type { MemoryFigures } from "./memory.js";
import type { Placing, Spread } from "./race.js";
import { type Cell, IN_TWOS, type Section } from "./sections.js";

/** All that one run has measured. */
export interface Report {
  readonly machine: Machine;
  readonly rounds: number;
  readonly missing: readonly string[];
  readonly sections: readonly Section[];
  readonly memory: MemoryFigures;
  readonly coldStart: { readonly [K in keyof ColdStart]: Spread };
  readonly aims: readonly Aim[];
}

/** The report as markdown. */
export function toMarkdown(report: Report): string {
  const { machine, missing } = report;
  return [
    "# Speed",
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGigabytes} GB; ${machine.system}; Node ${machine.node} (V8 ${machine.v8}); ` +
      `${[`${machine.kernels} kernels`, ...machine.compilers].join("; ")}; ${machine.date}. Made by the programs of \`bench/\`.`,
    `Contenders take turns in slices of a few milliseconds. A ratio is the median of ${report.rounds} ratios of neighbouring slices, ` +
      "in brackets their 10th and 90th percentile. After the timing, every contender that computes the same function is compared " +
      "with float64: † marks a result beyond n · eps · sum|terms|, ° a contender that computes something else or cannot be looked into.",
    ...missing.map((what) => `Left out: ${what}.`),
    "## Aims",
    table(
      ["", "aim", "measured", ""],
      report.aims.map(({ what, limit, measured, met }) => [what, limit, measured, met ? "met" : "missed"]),
    ),
    ...report.sections.flatMap((section) => [
      `## ${section.title}`,
      section.explanation,
      layouts[section.layout](section.cells),
    ]),
    ...memoryText(report.memory),
    "## Cold start",
    "In fresh processes, milliseconds.",
    table(
      ["import", "create", "first forwardAdd + learn"],
      [[report.coldStart.import, report.coldStart.create, report.coldStart.firstRequest].map((s) => spreadText(s, 2))],
    ),
    "",
  ].join("\n\n");
}

const layouts: { readonly [K in Section["layout"]]: (cells: readonly Cell[]) => string } = {
  columns(cells) {
    const others = [...new Set(cells.flatMap(({ placings }) => placings.slice(1).map(({ name }) => name)))];
    const heads = others.map((name) => (LIMITS.has(name) ? `× the time of ${name}` : `× faster than ${name}`));
    const rows = cells.map(({ job, placings }) => {
      const ratios = others.map((name) => placings.find((other) => other.name === name));
      return [
        job,
        microseconds(placings[0]!),
        ...ratios.map((placing) => (placing === undefined ? "" : ratioText(placing))),
      ];
    });
    return table(["", "microlora, µs", ...heads], rows);
  },
  rows(cells) {
    const rows = cells.flatMap(({ job, placings: [ours, ...others] }) =>
      others.map((peer) => [peer.name, job, microseconds(ours!), microseconds(peer), ratioText(peer)]),
    );
    return table(["", "", "microlora, µs", "peer, µs", "× faster"], rows);
  },
};

/** Contenders that ours is measured against as a limit: their column tells how many times their time ours takes. */
const LIMITS: ReadonlySet<string> = new Set(["native", "microlora, kernel alone", IN_TWOS]);

function ratioText({ name, ratio, error }: Placing): string {
  const shown = LIMITS.has(name) ? ratio : inverse(ratio);
  return spreadText(shown, shown.median < 10 ? 2 : 0) + mark(error);
}

/** The spread of 1 / x. */
export function inverse({ median, low, high }: Spread): Spread {
  return { median: 1 / median, low: 1 / high, high: 1 / low };
}

function microseconds({ nanoseconds, error }: Placing): string {
  const value = nanoseconds.median / 1e3;
  return (value < 100 ? value.toPrecision(3) : value.toFixed(0)) + (error === null || error <= 1 ? "" : mark(error));
}

/** Nothing for what was checked and is right. */
function mark(error: number | null): string {
  if (error === null) return "°";
  return error <= 1 ? "" : "†";
}

function spreadText({ median, low, high }: Spread, digits: number): string {
  return `${median.toFixed(digits)} (${low.toFixed(digits)}–${high.toFixed(digits)})`;
}

function memoryText({ bytesPerCall, adapter, many }: MemoryFigures): string[] {
  return [
    "## Memory",
    "Bytes of the JS heap that a call leaves behind, over a million calls, 768 wide at rank 2.",
    table(Object.keys(bytesPerCall), [Object.values(bytesPerCall).map(String)]),
    `An adapter of 768 to 768 at rank 2 takes ${adapter.parameters} bytes of the fixed memory, and ${adapter.learned} once it has ` +
      "learned and consolidated (running Fisher, Fisher and anchor beside the parameters).",
    `${many.adapters} of them in one process: ${many.createMicroseconds.toFixed(1)} µs each to create, ${many.residentMegabytes} MB resident, ` +
      `${many.residentMegabytesLearned} MB once all have learned and consolidated; through adapters in scattered order ` +
      `${many.forwardMicroseconds.toFixed(2)} µs a forwardAdd and ${many.learnMicroseconds.toFixed(2)} µs a learn.`,
  ];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
