import type { Example } from "./examples.js";
import { ROWS, type RowName } from "./experiment.js";
import type { SessionResults, Summary } from "./results.js";
import { forgettingOf } from "./sessions.js";
import { mean } from "./statistics.js";
import { columns, type Terminal } from "./terminal.js";
import type { Watched, WatchedStream } from "./watched.js";

export const LABELS: Readonly<Record<RowName, string>> = {
  base: "before learning",
  offset: "constant offset  y = x + b",
  lora: "LoRA",
  loraBias: "LoRA + bias",
  recall: "recall",
  all: "all together",
};

/** MRR on unseen queries, and what it cost on keywords that have nothing to do with the taste. */
export function printScores(terminal: Terminal, summary: Summary, seeds: number): void {
  const several = seeds > 1;
  const cells = ROWS.map((name) => {
    const { unseen, unrelated, gain, unrelatedChange } = summary[name];
    const isBase = name === "base";
    return [
      `  ${LABELS[name]}`,
      unseen.mrr.toFixed(3),
      isBase ? "" : signed(gain.mean, 3) + (several ? ` ± ${gain.interval.toFixed(3)}` : ""),
      percent(unseen.top10),
      unrelated.mrr.toFixed(3),
      isBase ? "" : `${signed(100 * unrelatedChange, 1)} %`,
    ];
  });
  const lines = columns([["", "MRR", several ? "gain ± 95 %" : "gain", "top 10", "unrelated", "cost"], ...cells]);
  for (const [i, line] of lines.entries()) {
    const style = i === 0 ? "dim" : ROWS[i - 1] === "all" ? "bold" : null;
    terminal.print(style === null ? line : terminal.style(style, line));
  }
  if (!several) return;
  const { mean: over, interval } = summary.all.overOffset;
  terminal.print(
    `\n  All together above the constant offset, user by user: ${signed(over, 3)} ± ${interval.toFixed(3)} MRR.`,
  );
}

export function printExamples(terminal: Terminal, examples: readonly Example[]): void {
  const table = columns(
    examples.map(({ text, group, rankBefore, rankAfter }) => [`  ${text}`, group, `${rankBefore} → ${rankAfter}`]),
  );
  for (const [i, { before, after, rankBefore, rankAfter }] of examples.entries()) {
    const style = rankAfter <= rankBefore ? "green" : "red";
    terminal.print(`${terminal.style(style, table[i]!)}   ${before.join(" ")}  →  ${after.join(" ")}`);
  }
}

export function printSessions(terminal: Terminal, { withEwc, withoutEwc }: SessionResults): void {
  const rowOf = (label: string, matrix: SessionResults["withEwc"]) => {
    const { learned, final, forgetting } = forgettingOf(matrix);
    return [`  ${label}`, learned.toFixed(3), final.toFixed(3), forgetting.toFixed(3)];
  };
  const before = mean(withEwc[0] ?? []).toFixed(3);
  const lines = columns([
    ["", "learned", "at the end", "forgotten"],
    ["  before learning", before, before, ""],
    rowOf("without EWC", withoutEwc),
    rowOf("with EWC", withEwc),
  ]);
  for (const [i, line] of lines.entries()) terminal.print(i === 0 ? terminal.style("dim", line) : line);
}

/** What the boundary detector and the guard did, a sentence each; the report says the same. */
export function watchedSentences({ guarded, unguarded }: Watched): string[] {
  const { changes, detected, badClicks, takenBack } = guarded;
  const kept = ({ learned, afterBad }: WatchedStream) => `${learned.toFixed(3)} → ${afterBad.toFixed(3)}`;
  const began = `A new preference began after ${changes.join(", ")} clicks`;
  return [
    changes.length === 0
      ? "One preference only: the boundary detector has nothing to find."
      : `${began}; the boundary detector said so ${detected.length === 0 ? "never" : `after ${detected.join(", ")}`}.`,
    `Then ${badClicks} bad clicks, always on the last result; MRR before → after them: ${kept(unguarded)} without a guard, ` +
      `${kept(guarded)} with one, which took updates back ${takenBack} times.`,
  ];
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}

function signed(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  return `${value < 0 && Number(text) > 0 ? "−" : "+"}${text}`;
}
