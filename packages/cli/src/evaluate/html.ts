import type { Row } from "@microlora/evaluate";
import { escaped, histogram, intervalsPlot, linePlot } from "./plots.js";
import { logLines } from "./print.js";
import type { Report } from "./summary.js";
import { change, count, fixed, intervalOf, percent, signed } from "./words.js";

const STYLE = `
:root { color-scheme: light dark; --text: #1c1c28; --paper: #fff; --faint: #d8d8e2; --ours: #1a6b4a; --other: #5a5a78; --loses: #b3402a }
@media (prefers-color-scheme: dark) {
  :root { --text: #e8e8f0; --paper: #16161e; --faint: #3a3a48; --ours: #5fd0a0; --other: #a0a0bc; --loses: #f08a70 }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--paper); max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
.verdict { font-size: 1.25rem; border-left: 6px solid var(--ours); padding-left: 1rem }
.nothing, .unclear { border-color: var(--other) }
.harms { border-color: var(--loses) }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--faint) }
th:first-child, td:first-child { text-align: left }
.scroll { overflow-x: auto }
figure { margin: 2rem 0 } figcaption { font-weight: 600; margin-bottom: .5rem }
svg { width: 100%; height: auto } svg text { fill: var(--text) }
svg line { stroke: var(--other); stroke-width: 2 }
svg line.grid { stroke: var(--faint); stroke-width: 1 } svg line.zero { stroke: var(--text); stroke-width: 1 }
svg .ours line { stroke: var(--ours) } svg .ours circle, svg .ours rect { fill: var(--ours) }
svg .other circle, svg .same rect { fill: var(--other) } svg .loses rect { fill: var(--loses) }
svg .band { fill: var(--ours); opacity: .2 } svg .curve { fill: none; stroke: var(--ours); stroke-width: 2 }
pre { background: color-mix(in srgb, var(--faint) 40%, transparent); padding: 1rem; overflow-x: auto }`;

/** A report as one HTML file: it has no script, and asks for nothing from elsewhere. */
export function htmlOf(report: Report): string {
  const { verdict, rows, curve, drift, suggestion, base, measure, gains, users } = report;
  const unit = measure === "MRR" ? "mean reciprocal rank" : "pairs of ratings told apart";
  const curveBars = curve.map(({ from, to, gain }) => ({
    ...gain,
    label: to === null ? `${from} on` : `${from} to ${to}`,
    isOurs: true,
  }));
  const driftBars = drift.map(({ choices, behind }) => ({ ...behind, label: count(choices, "choice"), isOurs: true }));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>MicroLoRA on this log</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Would learning from each user help?</h1>
<p class="verdict ${verdict.answer}">${escaped(verdict.headline)}</p>
${list(verdict.findings)}
<h2>What was read</h2>
${list(logLines(report).map((line) => line.trim()))}
<h2>What is gained</h2>
<p>Change of ${unit} on the last fifth of each user's choices, ${fixed(base.heldOut)} by cosine alone, with 95 % intervals by the bootstrap over users.</p>
${intervalsPlot(
  `Gain in ${unit}`,
  rows.map(({ label, gain }) => ({ ...gain, label, isOurs: isOurs(label) })),
)}
<div class="scroll" tabindex="0">${table(rows)}</div>
<h2>Who gains, and who loses</h2>
<p>${percent(users.helped)} of users gain, ${percent(users.same)} stay as they were, ${percent(users.harmed)} lose.</p>
${gains.length === 0 ? "" : histogram("Users by their gain", gains)}
${curve.length === 0 ? "" : `<h2>How fast it learns</h2>\n${linePlot("Gain by the number of the choice, before it is learned from", curveBars)}`}
<h2>When taste changes</h2>
<p>A state that learned from one user goes on with another's choices: how far it is from a fresh one.</p>
${linePlot("An old state less a fresh one, after choices of somebody else", driftBars)}
<h2>Where this misleads</h2>
${list(verdict.cautions)}
<h2>Settings: ${escaped(suggestion.label)}</h2>
<pre><code>${escaped(suggestion.code)}</code></pre>
${suggestion.note === null ? "" : `<p>${escaped(suggestion.note)}</p>`}
</body>
</html>
`;
}

const isOurs = (label: string) => label.startsWith("MicroLoRA");

function list(lines: readonly string[]): string {
  return `<ul>\n${lines.map((line) => `<li>${escaped(line)}</li>`).join("\n")}\n</ul>`;
}

const HEAD = [
  ...[
    "",
    "gain [95 %]",
    "default above it [95 %]",
    "users who lose",
    "by name",
    "by half a name",
    "chosen before (MRR)",
  ],
  ...["other kinds of queries", "microseconds a choice", "bytes a user"],
];

function table(rows: readonly Row[]): string {
  const head = HEAD.map((cell) => (cell === "" ? "<td></td>" : `<th scope="col">${cell}</th>`)).join("");
  const body = rows.map(
    (row) =>
      `<tr>${cellsOf(row)
        .map((cell) => `<td>${escaped(cell)}</td>`)
        .join("")}</tr>`,
  );
  return `<table><thead><tr>${head}</tr></thead><tbody>\n${body.join("\n")}\n</tbody></table>`;
}

function cellsOf(row: Row): string[] {
  return [
    row.label,
    intervalOf(row.gain),
    intervalOf(row.oursAbove),
    percent(row.harmed),
    change(row.names),
    change(row.halves),
    fixed(row.repeats),
    signed(row.otherTopics),
    row.microseconds.toFixed(0),
    row.bytes === null ? "–" : row.bytes.toFixed(0),
  ];
}
