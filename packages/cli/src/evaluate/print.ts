import type { Row } from "@microlora/evaluate";
import { columns, type Terminal, visible } from "../terminal.js";
import { describeKind, type MistakeReport } from "./mistakes.js";
import type { Report } from "./summary.js";
import { change, count, fixed, intervalOf, percent } from "./words.js";

/** Prints a report as text. */
export function printReport(terminal: Terminal, report: Report): void {
  const { verdict, rows, curve, drift, suggestion } = report;
  const heading = (text: string) => terminal.print(`\n${terminal.style("bold", text)}`);
  const colour = ({ gains: "green", harms: "red", nothing: "yellow", unclear: "yellow" } as const)[verdict.answer];
  printLog(terminal, report);
  terminal.print();
  terminal.print(terminal.style(colour, verdict.headline));
  for (const finding of verdict.findings) terminal.print(`- ${finding}`);
  heading(
    `${report.measure === "MRR" ? "Mean reciprocal rank" : "Pairs of ratings told apart"}: ${fixed(report.base.heldOut)} by cosine alone`,
  );
  const head = ["", "gain [95 %]", "default above it [95 %]", "lose", "by name", "by half", "µs", "bytes"];
  for (const line of columns([head, ...rows.map(cells)])) terminal.print(line);
  if (curve.length > 0) {
    heading("Gain by the number of the choice, before it is learned from");
    for (const line of columns(
      curve.map(({ from, to, gain }) => [
        to === null ? `${from} on` : `${from} to ${to}`,
        intervalOf(gain),
        count(gain.users, "user"),
      ]),
    )) {
      terminal.print(line);
    }
  }
  heading("After a change of taste: an old state less a fresh one");
  for (const line of columns(drift.map(({ choices, behind }) => [count(choices, "choice"), intervalOf(behind)])))
    terminal.print(line);
  heading("Where this misleads");
  for (const caution of verdict.cautions) terminal.print(`- ${caution}`);
  heading(`Settings: ${suggestion.label}`);
  terminal.print(suggestion.code);
  if (suggestion.note !== null) terminal.print(`// ${suggestion.note}`);
}

function cells(row: Row, i: number): string[] {
  const { label, gain, oursAbove, harmed, names, halves, microseconds, bytes } = row;
  return [
    label,
    intervalOf(gain),
    i === 0 ? "" : intervalOf(oursAbove),
    percent(harmed),
    change(names),
    change(halves),
    microseconds.toFixed(0),
    bytes === null ? "–" : bytes.toFixed(0),
  ];
}

/** What was read, in lines. */
export function logLines({ facts, people, choices }: Report): string[] {
  const { log, tune, dimensions, indexed, drawn } = facts;
  const lines = [
    `${count(log.rows, "row")}: ${count(log.events, "event")} of ${count(log.users, "user")}, of whom ${log.usersWithEnough.toLocaleString("en-US")} have enough; ${count(log.documents, "document")}, ${dimensions} wide.`,
    `Reported on ${count(people, "user")} with ${choices.toFixed(0)} choices each, of which the last fifth is held out; tuned on ${tune} others.`,
  ];
  if (indexed < log.documents) lines.push(`${count(indexed, "document")} are searched.`);
  if (drawn !== null && drawn > 0)
    lines.push(`Each choice is ranked among ${drawn} documents, the others drawn at random.`);
  if (log.notLiked > 0) lines.push(`${count(log.notLiked, "row")} with a rating below --liked were left out.`);
  if (log.repeated > 0) lines.push(`${count(log.repeated, "row")} were there twice, and count once.`);
  if (facts.emptyQueries > 0)
    lines.push(
      `${count(facts.emptyQueries, "choice")} had a query of which the embedder knows no word, and were left out.`,
    );
  lines.push(...mistakeLines("of the log", log.mistakes));
  if (log.documentMistakes !== null) lines.push(...mistakeLines("of the documents", log.documentMistakes));
  return lines;
}

function mistakeLines(where: string, { count: all, unit, kinds }: MistakeReport): string[] {
  if (all === 0) return [];
  return [
    `${count(all, "row")} ${where} are mistaken and were left out:`,
    ...kinds.map((kind) => `  ${visible(describeKind(kind, unit))}`),
  ];
}

function printLog(terminal: Terminal, report: Report): void {
  for (const line of logLines(report)) terminal.print(line);
}
