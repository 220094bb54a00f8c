/**
 * `npm run bench:learning`: every setting on every problem with the frozen hyper-parameters, into `results/`, and from
 * those the tables and plots in `docs/results/`. Options: `--only=PROBLEM,…`, `--settings=SETTING,…`, `--quick` (two
 * seeds, tables printed, nothing written), `--report` (tables and plots of the results that are there).
 */
import { parseArgs } from "node:util";
import { Runtime } from "microlora";
import { namesFrom } from "./names.js";
import { MINILM, PROBLEM_NAMES, PROBLEMS } from "./problems.js";
import { writeReport } from "./report/report.js";
import { extraTable, heading, mainTable } from "./report/tables.js";
import { loadResult, type ProblemResult, saveResult, saveTimes, type Times } from "./results.js";
import { runSetting } from "./run.js";
import { SETTING_NAMES, SETTINGS } from "./settings.js";

const QUICK_SEEDS = 2;

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    settings: { type: "string" },
    quick: { type: "boolean", default: false },
    report: { type: "boolean", default: false },
  },
});

const { kernels } = await Runtime.create({ memoryBytes: 2 ** 20 });
const names = values.report ? [] : namesFrom(values.only, PROBLEM_NAMES);
const settings = namesFrom(values.settings, SETTING_NAMES);
for (const name of names) {
  const problem = await PROBLEMS[name].load();
  if (problem === null) {
    console.error(`${name}: left out, for there is no model.onnx in ${MINILM}; MINILM names its folder`);
    continue;
  }
  const seeds = problem.seeds("reported").slice(0, values.quick ? QUICK_SEEDS : undefined);
  let result: ProblemResult = { quality: problem.quality, kernels: kernels.name, settings: {} };
  const times: Times = {};
  for (const setting of settings) {
    const run = await runSetting(name, problem, setting, seeds);
    if (run === null) continue;
    console.error(`${name}: ${SETTINGS[setting].label}`);
    result = { ...result, settings: { ...result.settings, [setting]: run.result } };
    times[setting] = run.microseconds;
    if (values.quick) continue;
    saveResult(name, { ...result, settings: { ...loadResult(name)?.settings, ...result.settings } });
    saveTimes(name, times);
  }
  if (values.quick)
    console.log([heading(name, result), mainTable(result, times), extraTable(result) ?? ""].join("\n\n"));
}
if (!values.quick) writeReport();
