import { existsSync, writeFileSync } from "node:fs";
import { requireWritable } from "../files.js";
import { bar, type Terminal } from "../terminal.js";
import { UsageError } from "../usage-error.js";
import { EVALUATE_USAGE, parseArguments } from "./arguments.js";
import { printReport } from "./print.js";
import { evaluateLog } from "./run.js";

/** Milliseconds between two redrawings of the progress bar. */
const REDRAW = 100;

/** Replays a log, and says whether learning from each user helps. @throws UsageError, EvaluateError */
export async function evaluate(args: readonly string[], terminal: Terminal): Promise<void> {
  const options = parseArguments(args);
  if (options === null) return terminal.print(EVALUATE_USAGE);
  const { threads, work, html, json, force, ...evaluated } = options;
  if (html !== null) {
    if (existsSync(html) && !force) throw new UsageError(`${html} is there already. Pass --force to overwrite it`);
    await requireWritable(html);
  }
  const report = await evaluateLog(evaluated, { work, threads, onStep: progress(terminal) });
  terminal.status("");
  if (html !== null) {
    const { htmlOf } = await import("./html.js");
    writeFileSync(html, htmlOf(report));
  }
  if (json) terminal.print(JSON.stringify(report));
  else printReport(terminal, report);
}

function progress(terminal: Terminal): (step: string, share: number) => void {
  let last = 0;
  return (step, share) => {
    const now = performance.now();
    if (now - last < REDRAW) return;
    last = now;
    terminal.status(`${step} ${bar(share)} ${Math.round(100 * Math.min(1, share))} %`);
  };
}
