/**
 * `npm run bench:learning`: every setting on every problem with the frozen hyper-parameters, into `results/`, and from
 * those the tables and plots in `docs/results/`. Options: `--only=PROBLEM,…`, `--settings=SETTING,…`, `--quick` (two
 * seeds, tables printed, nothing written), `--report` (tables and plots of the results that are there).
 */
import { parseArgs } from "node:util";
import { namesFrom } from "./names.js";
import { MINILM, PROBLEM_NAMES, PROBLEMS } from "./problems.js";
import { writeReport } from "./report/report.js";
import { extraTable, heading, mainTable } from "./report/tables.js";
import { loadResult, saveResult, saveTimes } from "./results.js";
import { runProblem } from "./run.js";
import { SETTING_NAMES } from "./settings.js";

const QUICK_SEEDS = 2;

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    settings: { type: "string" },
    quick: { type: "boolean", default: false },
    report: { type: "boolean", default: false },
  },
});

const names = values.report ? [] : namesFrom(values.only, PROBLEM_NAMES);
const settings = namesFrom(values.settings, SETTING_NAMES);
for (const name of names) {
  const problem = await PROBLEMS[name].load();
  if (problem === null) {
    console.error(`${name}: left out, for there is no model.onnx in ${MINILM}; MINILM names its folder`);
    continue;
  }
  const seeds = problem.seeds("reported").slice(0, values.quick ? QUICK_SEEDS : undefined);
  const { result, times } = await runProblem(name, problem, settings, seeds, progress);
  if (values.quick) {
    console.log([heading(name, result), mainTable(result, times), extraTable(result) ?? ""].join("\n\n"));
  } else {
    saveResult(name, { ...result, settings: { ...loadResult(name)?.settings, ...result.settings } });
    saveTimes(name, times);
  }
}
if (!values.quick) writeReport();

function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}
