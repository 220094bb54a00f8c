import { forgettingMatrix, learningCurve, rangeOf } from "./charts.js";
import type { Example } from "./examples.js";
import { type CurvePoint, ROWS } from "./experiment.js";
import type { FeedbackTime } from "./feedback-time.js";
import type { Options } from "./options.js";
import type { Reload } from "./reload.js";
import type { SessionResults, Summary } from "./results.js";
import { forgettingOf } from "./sessions.js";
import { LABELS, percent, watchedSentences } from "./tables.js";
import type { Task } from "./task.js";
import type { Watched } from "./watched.js";

export interface ReportData {
  readonly options: Options;
  readonly task: Task;
  readonly summary: Summary;
  readonly curve: readonly CurvePoint[];
  readonly sessions: SessionResults;
  readonly watched: Watched;
  readonly time: FeedbackTime;
  readonly reloaded: Reload;
  readonly examples: readonly Example[];
}

const STYLE = `
:root { color-scheme: light; font: 16px/1.5 system-ui, sans-serif; color: #1c1917; background: #fafaf9; }
body { max-width: 46rem; margin: 3rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #e7e5e4; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 500; color: #78716c; }
tr.all td { font-weight: 600; } .note { color: #78716c; font-size: .9rem; } svg { max-width: 100%; height: auto; }`;

/** The run as one HTML page that needs nothing else: no script, no network. */
export function renderReport(data: ReportData): string {
  const { options, task, time, reloaded } = data;
  const taste = task.taste.map((group) => escapeHtml(group)).join(", ");
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>microlora: one person's taste, learned</title><style>${STYLE}</style></head>
<body>
<h1>One person's taste, learned click by click</h1>
<p>Emoji are found by their names; queries are keywords that fit several groups of emoji. This user (seed ${options.seed})
means ${task.taste.length === 1 ? taste : `a different group in each topic (${taste})`}, and clicks only what is shown.</p>
<h2>What was learned, and what it cost</h2>
${scoreTable(data.summary)}
<p class="note">MRR and top 10 on ${task.unseen.length} queries that share no word stem with those learned from; “unrelated” is the MRR on
${task.unrelated.length} keywords that have nothing to do with the taste.${options.seeds > 1 ? ` Means of ${options.seeds} users.` : ""}</p>
<h2>Click by click</h2>
${learningCurve(data.curve)}
<h2>A few queries</h2>
${exampleTable(data.examples)}
<p class="note">The unseen queries that gained most, and the one that lost most. Rank is that of the first emoji that was meant.</p>
<h2>Four preferences, one after the other</h2>
${sessionCharts(data.sessions)}
<h2>Boundary detector and guard at work</h2>
${watchedSentences(data.watched)
  .map((sentence) => `<p>${escapeHtml(sentence)}</p>`)
  .join("\n")}
<h2>What it takes</h2>
<p>One feedback call takes ${time.p50.toFixed(1)} µs (p50), ${time.p99.toFixed(1)} µs (p99). Everything learned is a file of
${(reloaded.bytes / 1024).toFixed(0)} KB; loaded again, it answered ${reloaded.same} of ${reloaded.queries} queries the same, bit for bit.</p>
</body>
</html>
`;
}

function scoreTable(summary: Summary): string {
  const rows = ROWS.map((name) => {
    const { unseen, unrelated, unrelatedChange } = summary[name];
    const change = name === "base" ? "" : `${(100 * unrelatedChange).toFixed(1)} %`;
    const cells = [LABELS[name], unseen.mrr.toFixed(3), percent(unseen.top10), unrelated.mrr.toFixed(3), change];
    return `<tr class="${name}">${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`;
  });
  return `<table><tr><th></th><th>MRR</th><th>top 10</th><th>unrelated</th><th>cost</th></tr>${rows.join("")}</table>`;
}

function exampleTable(examples: readonly Example[]): string {
  const rows = examples.map(({ text, group, rankBefore, rankAfter, before, after }) => {
    const cells = [text, group, `${rankBefore} → ${rankAfter}`, before.join(" "), after.join(" ")];
    return `<tr>${cells.map((cell) => `<td>${escapeHtml(cell)}</td>`).join("")}</tr>`;
  });
  return `<table><tr><th>query</th><th>meant</th><th>rank</th><th>before</th><th>after</th></tr>${rows.join("")}</table>`;
}

function sessionCharts({ withEwc, withoutEwc }: SessionResults): string {
  const range = rangeOf([withEwc, withoutEwc]);
  const section = (title: string, matrix: SessionResults["withEwc"]) => {
    const { learned, final, forgetting } = forgettingOf(matrix);
    const figures = `learned ${learned.toFixed(3)}, at the end ${final.toFixed(3)}, forgotten ${forgetting.toFixed(3)}`;
    return `<h3>${title}</h3><p class="note">${figures} (MRR)</p>${forgettingMatrix(matrix, range)}`;
  };
  return section("Without EWC", withoutEwc) + section("With EWC", withEwc);
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
