import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { loadParity } from "../parity/outputs.js";
import { PROBLEM_NAMES } from "../problems.js";
import { loadResult, loadTimes } from "../results.js";
import { aimsTable } from "./aims.js";
import { loadSearch, SEARCHES, type Search, searchPlot } from "./collateral-search.js";
import { ewcKindsSection } from "./ewc-kinds.js";
import { paritySection } from "./parity-table.js";
import { gainAgainstCollateral, sessionCurves } from "./plots.js";
import { extraTable, heading, mainTable } from "./tables.js";
import { loadTiming, timingSection } from "./timing-table.js";

const DOCS = resolve(import.meta.dirname, "../../../../docs/results");

/** What people read out of the results; the rest of the page is made of them. */
const READING = resolve(import.meta.dirname, "../../reading.md");

const INTRODUCTION = `# Learning, measured

Made by \`npm run bench:learning\` from the files in \`bench/learning/results/\`, which hold every run. Hyper-parameters were tuned on
validation users and groups (\`npm --prefix bench/learning run tune\`), frozen in \`bench/learning/hyperparameters.json\`, and the
users reported here were run once after that.

- *ACC*: mean quality over all tasks after the last session. *gain*: ACC above the base, user by user. *BWT*: final quality minus that right after a task's own session, without the
  last task. *forgetting*: best quality ever minus the final one, without the last task. *learning*: quality right after a task's own session.
  *newest*: quality on the last task at the end.
- *unrelated*: change of the quality on requests that have nothing to do with what was learned, with their own true answers.
- *KB*: everything kept for one user, as saved. *µs*: one learning request, mean.`;

const SEARCH: Readonly<Record<Search, string>> = {
  static: `## The search for less collateral

What was tried on the tuning groups before the default was chosen (\`bench/learning/collateral\`), one picture a kind of user; what is
dark, nothing else beats in both gain and cost. Below the dashed line, more than 2 % are lost. Static embeddings:

![Gain against collateral, static embeddings](collateral-search-static.svg)`,
  minilm: `MiniLM:

![Gain against collateral, MiniLM](collateral-search-minilm.svg)`,
  "sessions-static": `Settings of \`Personalizer\` for users who come back session by session (\`collateral/sessions.mjs\`), from which the default was chosen
([decisions/0013](../decisions/0013-one-place-a-query.md)). Static embeddings:

![Gain against collateral session by session, static embeddings](collateral-search-sessions-static.svg)`,
  "sessions-minilm": `MiniLM:

![Gain against collateral session by session, MiniLM](collateral-search-sessions-minilm.svg)`,
};

/** Writes the page and the plots of all results that are there. */
export function writeReport(): void {
  mkdirSync(DOCS, { recursive: true });
  const sections: string[] = [INTRODUCTION, "## Aims", aimsTable(), readFileSync(READING, "utf8").trim()];
  for (const name of PROBLEM_NAMES) {
    const result = loadResult(name);
    if (result === null) continue;
    writeFileSync(join(DOCS, `${name}-collateral.svg`), gainAgainstCollateral(result));
    writeFileSync(join(DOCS, `${name}-sessions.svg`), sessionCurves(result));
    sections.push(
      heading(name, result),
      mainTable(result, loadTimes()[name] ?? {}),
      ...[extraTable(result)].filter((table) => table !== null),
      `![Gain against what it cost on unrelated requests](${name}-collateral.svg)`,
      `![Quality on each task, session by session](${name}-sessions.svg)`,
    );
  }
  sections.push(ewcKindsSection());
  for (const search of SEARCHES) {
    const rows = loadSearch(search);
    if (rows === null) continue;
    writeFileSync(join(DOCS, `collateral-search-${search}.svg`), searchPlot(rows));
    sections.push(SEARCH[search]);
  }
  const timing = loadTiming();
  if (timing !== null) sections.push(timingSection(timing));
  const parity = loadParity();
  if (parity !== null) sections.push(paritySection(parity));
  writeFileSync(join(DOCS, "learning.md"), `${sections.join("\n\n")}\n`);
}
