import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { interval95, mean } from "../../emoji/dist/statistics.js";

const read = (name) => {
  const path = join(import.meta.dirname, "results", name);
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined;
};
const LABELS = {
  offset: () => "constant offset behind the model (384)",
  slow: () => "slow weights behind the model (6,144)",
  twoSpeeds: () => "two speeds behind the model, as in the first run (6,528, and 128 kept clicks)",
  small: (count) => `adapters inside the model, as many as the slow weights (${count})`,
  everywhere: (count) => `adapters inside the model, at every projection (${count})`,
  withRecall: (count) => `the same with recall behind the model (${count}, and 128 kept clicks)`,
  withTwoSpeeds: (count) => `the same with two speeds behind the model (${count} and 6,528, and 128 kept clicks)`,
};
const BEHIND = ["offset", "slow", "twoSpeeds"];
const INSIDE = ["small", "everywhere", "withRecall", "withTwoSpeeds"];

const AIMS = { free: "unseen MRR", careful: "the same at a cost of at most 1 %" };

/** Writes docs/results/onnx-learning.md from the files in results/, as far as they are there. */
export function writeReport() {
  const search = read("search.json");
  const language = read("language-model.json");
  const parts = [
    "# Learning through whole ONNX models, measured\n",
    "Made by the commands below from the files in `bench/onnx/learning/results/`, which hold every run and everything that was",
    "tried in tuning. Means over users with 95 % intervals (Student's t); few users, so intervals are wide.\n",
    readFileSync(join(import.meta.dirname, "reading.md"), "utf8"),
    ...(search === undefined ? [] : searchPart(search)),
    ...(language === undefined ? [] : languagePart(language)),
  ];
  writeFileSync(join(import.meta.dirname, "../../../docs/results/onnx-learning.md"), `${parts.join("\n").trimEnd()}\n`);
}

function searchPart({ machine, parameters, tuningSeeds, rows }) {
  const base = rows[0].runs;
  const labelOf = ({ contender, settings }) => LABELS[contender](parameters[settings.place]?.toLocaleString("en-US"));
  const runsOf = (contender, rule) => rows.find((row) => row.contender === contender && row.rule === rule)?.runs;
  const isSame = (a, b) => a.contender === b.contender && JSON.stringify(a.settings) === JSON.stringify(b.settings);
  const table = rows
    .filter((row) => rows.find((each) => isSame(each, row)) === row)
    .map((row) => {
      const aims = rows.filter((each) => isSame(each, row)).map(({ rule }) => AIMS[rule]);
      return cells(
        labelOf(row),
        aims.join("; "),
        settingsText(row.settings),
        row.runs.length,
        spread(row.runs.map(({ unseen }) => unseen)),
        signed(row.runs.map((run) => run.unseen - run.base.unseen)),
        percent(row.runs.map((run) => run.unrelated / run.base.unrelated - 1)),
      );
    });
  const compared = ["free", "careful"].flatMap((rule) =>
    INSIDE.flatMap((contender) => {
      const inside = runsOf(contender, rule);
      if (inside === undefined) return [];
      const differences = BEHIND.map((other) => {
        const behind = new Map(runsOf(other, rule)?.map(({ seed, unseen }) => [seed, unseen]));
        return behind.size === 0 ? "" : signed(inside.map(({ seed, unseen }) => unseen - behind.get(seed)));
      });
      const row = rows.find((each) => each.contender === contender && each.rule === rule);
      return [cells(labelOf(row), AIMS[rule], ...differences)];
    }),
  );
  const perClick = rows.flatMap(({ runs }) => runs.map((run) => run.msPerClick)).filter(Number.isFinite);
  return [
    "## A user's taste in the emoji search, MiniLM\n",
    "`npm run bench:onnx:learning -- --model FOLDER`\n",
    "The task of the first run (`npm start`: the same corpus, queries, tastes by topic, split by stem, 50 results shown, the first wanted one",
    "clicked), embedded by MiniLM. All learn from each click at once and once, by the same loss: cross-entropy over the cosines of what was",
    "shown. Inside, its exact gradients through the transformer, AdamW; documents keep the embeddings of the base. Behind, the settings of",
    "the first run with the rate of the slow weights times a factor. In brackets, the parameters of a user.",
    `Tuned on ${tuningSeeds.length} users of the tuning groups, for either aim; ${base.length} new users of the other groups were run once after that, ${range(base.map(({ clicks }) => clicks))} clicks each.\n`,
    `MRR of the base: ${spread(base.map(({ base }) => base.unseen))} on unseen queries, ${spread(base.map(({ base }) => base.unrelated))} on unrelated ones.\n`,
    cells(
      "learner",
      "tuned for",
      "settings chosen",
      "users",
      "MRR, unseen queries",
      "above the base",
      "MRR, unrelated",
    ),
    cells("---", "---", "---", "---", "---", "---", "---"),
    ...table,
    "\nAdapters inside the model minus what learns behind it, both tuned for the same, MRR on unseen queries, user by user:\n",
    cells("inside", "tuned for", "minus offset", "minus slow weights", "minus two speeds"),
    cells("---", "---", "---", "---", "---"),
    ...compared,
    `\nA click inside the model took ${range(perClick)} ms on a machine that many others were using.`,
    `${machineText(machine)}\n`,
  ];
}

function languagePart({ machine, setting, runs }) {
  const { learningRate, layers, rank, passes, parameters } = setting;
  const change = (kind) => runs.map(({ before, after }) => after[kind].logProbability - before[kind].logProbability);
  return [
    "## A user's facts, SmolLM2-135M-Instruct\n",
    "`npm --prefix bench/onnx run learning:language-model -- --model FOLDER`\n",
    `${runs.length} users with six facts each (\`bench/onnx/learning/facts.mjs\`), two questions a fact to learn from, two others to test on. Rank`,
    `${rank} on the value and down projections of the last ${layers} layers (${parameters.toLocaleString("en-US")} parameters), AdamW at rate ${learningRate}, ${passes} passes of two steps`,
    "each, with a KL term to the base on four other questions. Mean log-probability (nats) of a token of the answer, and the share of",
    "answers that greedy decoding gives word for word. *Another value*: the same sentences with a value that was not told. *Unrelated*:",
    "twelve questions with true answers, neither learned from nor among the four that the KL term holds. The settings come from two tries",
    "on another user (0.003 and two passes without the KL term: -2.59 on unseen wording; 0.01 and five with it: -0.19).\n",
    cells(
      "",
      "facts, unseen wording",
      "word for word",
      "another value",
      "told minus another",
      "unrelated",
      "word for word",
    ),
    cells("---", "---", "---", "---", "---", "---", "---"),
    row("base", runs, "before"),
    row("base, facts told in the prompt", runs, "prompt"),
    row("base with the adapter", runs, "after"),
    "\nFrom base to adapter, user by user:",
    `${signed(change("unseen"))} on the facts, ${signed(change("otherValues"))} with another value, ${signed(change("unrelated"))} on unrelated answers.`,
    "The twelve unrelated questions are the same for every user, so that their intervals do not tell how others would fare.\n",
    "The model: `bench/onnx/learning/export-smollm2.py`, which names its versions. Learning took",
    `${range(runs.map(({ seconds }) => seconds))} s a user on a machine that many others were using. ${machineText(machine)}\n`,
  ];
}

function row(label, runs, part) {
  const of = (kind, key) => runs.map((run) => run[part][kind][key]);
  return cells(
    label,
    spread(of("unseen", "logProbability")),
    percentage(of("unseen", "greedy")),
    spread(of("otherValues", "logProbability")),
    spread(runs.map((run) => run[part].unseen.logProbability - run[part].otherValues.logProbability)),
    spread(of("unrelated", "logProbability")),
    percentage(of("unrelated", "greedy")),
  );
}

function percentage(values) {
  const [centre, half] = [mean(values), interval95(values)].map((value) => (100 * value).toFixed(0));
  return `${centre} ± ${half} %`;
}

function settingsText({ factor, place, learningRate, temperature, behind }) {
  if (place === undefined) return `rate x ${factor}`;
  const more = behind?.factor === undefined ? "" : `, and rate x ${behind.factor} behind it`;
  return `${place}; rate ${learningRate}, temperature ${temperature}${more}`;
}

function machineText({ cpu, cores, node, onnxruntime }) {
  return `${cpu}, ${cores} cores, Node ${node}, onnxruntime-node ${onnxruntime}.`;
}

function cells(...texts) {
  return `| ${texts.join(" | ")} |`;
}

function spread(values) {
  return `${mean(values).toFixed(3)} ± ${interval95(values).toFixed(3)}`;
}

function signed(values) {
  return `${mean(values) < 0 ? "" : "+"}${spread(values)}`;
}

function percent(values) {
  const [centre, half] = [mean(values), interval95(values)].map((value) => (100 * value).toFixed(1));
  return `${mean(values) < 0 ? "" : "+"}${centre} ± ${half} %`;
}

function range(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)].map((value) => value.toFixed(0));
  return low === high ? low : `${low} to ${high}`;
}
