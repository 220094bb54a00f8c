// Records `npm start -- try` as a picture, docs/images/try.svg: what the command prints for a few lines of input, as it prints it.
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");
const TYPED = ["orange", "7", "orange"];
const LINE = 21;
const LEFT = 18;
const WIDTH = 660;
/** Seconds from one input to the next. */
const PAUSE = 2.5;

const printed = execFileSync(process.execPath, ["packages/cli/dist/main.js", "try"], {
  cwd: ROOT,
  input: `${TYPED.join("\n")}\nquit\n`,
  encoding: "utf8",
});

/** The lines of the terminal from the first prompt on, each with the second at which it appears. */
function linesOf(text) {
  const lines = [{ text: "$ npm start -- try", typed: true, at: 0 }];
  let typed = 0;
  for (const line of text.slice(text.indexOf("> ")).trimEnd().split("\n")) {
    const answer = line.startsWith("> ") ? line.slice(2) : line;
    if (line.startsWith("> ")) {
      if (typed === TYPED.length) break;
      lines.push({ text: `> ${TYPED[typed]}`, typed: true, at: PAUSE * (typed + 0.5) });
      typed++;
    }
    if (answer.trim() !== "") lines.push({ text: answer, typed: false, at: PAUSE * typed });
  }
  return lines;
}

const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
const lines = linesOf(printed);
const height = lines.length * LINE + 40;
const body = lines.map(({ text, typed, at }, i) => {
  const y = 38 + i * LINE;
  return `<text x="${LEFT}" y="${y}" class="${typed ? "typed" : "said"}" style="animation-delay:${at}s">${escaped(text)}</text>`;
});

writeFileSync(
  join(ROOT, "docs/images/try.svg"),
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">
<title>A terminal: a search for orange lists coloured shapes; after kiwi fruit is picked, the same search lists fruit</title>
<style>
text { font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre; opacity: 0; animation: appear .2s forwards }
.typed { fill: #7ee787 }
.said { fill: #e6edf3 }
@keyframes appear { to { opacity: 1 } }
@media (prefers-reduced-motion: reduce) { text { opacity: 1; animation: none } }
</style>
<rect width="${WIDTH}" height="${height}" rx="10" fill="#0d1117"/>
${body.join("\n")}
</svg>
`,
);
console.log(`docs/images/try.svg: ${lines.length} lines`);
