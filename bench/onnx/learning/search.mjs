// Usage: node learning/search.mjs [--model FOLDER] [--tuning-seeds 1,2,3,4] [--seeds 51,52,…,90]
// One user's taste in the emoji search, learned click by click: adapters inside MiniLM beside what learns behind it. Settings are
// chosen on users of the tuning groups; users of the other groups are run once after that. Writes results/search.json and the report;
// what the file has already, of the same settings and users, is not run again.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { EmbeddingIndex } from "../../../packages/microlora/dist/index.js";
import { loadCorpus } from "../../emoji/dist/corpus.js";
import { Evaluator, IDENTITY } from "../../emoji/dist/evaluate.js";
import { TASK } from "../../emoji/dist/hyperparameters.js";
import { groupsAmong } from "../../emoji/dist/options.js";
import { buildTask } from "../../emoji/dist/task.js";
import { PLACES, personalizer, scoresOf, transformer } from "./learners.mjs";
import { machine } from "./machine.mjs";
import { openMiniLm } from "./minilm.mjs";
import { writeReport } from "./report.mjs";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: join(import.meta.dirname, "../../../../shared/models/minilm") },
    "tuning-seeds": { type: "string", default: "1,2,3,4" },
    seeds: { type: "string", default: Array.from({ length: 40 }, (_, i) => 51 + i).join() },
  },
});
const seedsOf = (text) => text.split(",").map(Number);

const FACTORS = [0.3, 1, 3];
const behind = (name) => FACTORS.map((factor) => ({ name, factor }));
const [SMALL, RANK_1, RANK_2] = Object.keys(PLACES);
const inside = (place, rates, temperatures, more = {}) =>
  rates.flatMap((learningRate) => temperatures.map((temperature) => ({ place, learningRate, temperature, ...more })));
const CONTENDERS = {
  offset: { run: personalizer, grid: behind("offset") },
  slow: { run: personalizer, grid: behind("lora") },
  twoSpeeds: { run: personalizer, grid: behind("all") },
  small: { run: transformer, grid: inside(SMALL, [4e-3, 6e-3], [0.2, 0.4]) },
  everywhere: {
    run: transformer,
    grid: [
      ...inside(RANK_2, [1e-3, 2e-3], [0.2, 0.4]),
      ...inside(RANK_1, [2e-3], [0.4]),
      ...inside(RANK_2, [2e-3], [0.8]),
    ],
  },
  withRecall: { run: transformer, grid: inside(RANK_2, [1e-3, 1.5e-3, 2e-3], [0.4], { behind: { name: "recall" } }) },
  withTwoSpeeds: {
    run: transformer,
    grid: [1, 3].flatMap((factor) => inside(RANK_2, [1e-3, 2e-3], [0.4], { behind: { name: "all", factor } })),
  },
};
/** What a learner may cost on unrelated keywords while it is tuned: nothing said, or 1 % of their MRR. */
const RULES = { free: Number.POSITIVE_INFINITY, careful: 0.01 };

const out = join(import.meta.dirname, "results/search.json");
const tuningSeeds = seedsOf(values["tuning-seeds"]);
const before = existsSync(out) ? JSON.parse(readFileSync(out, "utf8")) : { rows: [], tuned: {} };
const setup = await setUp(resolve(values.model));
const tuned = {};
for (const [contender, { run, grid }] of Object.entries(CONTENDERS)) {
  const tried = [];
  for (const settings of grid) {
    const known = isDeepStrictEqual(before.tuningSeeds, tuningSeeds) ? before.tuned[contender] : undefined;
    const same = known?.find((each) => isDeepStrictEqual(each.settings, settings));
    if (same !== undefined) {
      tried.push(same);
      continue;
    }
    const runs = await runAll(run, settings, tuningSeeds, "tuning");
    const [gain, cost] = [meanOf(runs, gainOf), meanOf(runs, costOf)];
    tried.push({ settings, gain, cost });
    console.error(
      `${contender} ${JSON.stringify(settings)}: unseen +${gain.toFixed(4)}, unrelated ${(100 * cost).toFixed(1)} % worse`,
    );
  }
  tuned[contender] = tried;
}
const rows = [];
for (const [contender, tried] of Object.entries(tuned)) {
  for (const [rule, limit] of Object.entries(RULES)) {
    const best = tried.filter(({ cost }) => cost <= limit).toSorted((a, b) => b.gain - a.gain)[0];
    if (best === undefined) continue;
    const runs = await runOthers(CONTENDERS[contender].run, best.settings);
    rows.push({ contender, rule, settings: best.settings, runs });
    console.error(`${contender} ${rule}: ${meanOf(runs, ({ unseen }) => unseen).toFixed(4)}`);
  }
  const results = { machine: machine(), parameters: parameters(), tuningSeeds, tuned, rows };
  writeFileSync(out, `${JSON.stringify(results, null, 1)}\n`);
}
writeReport();
for (const { model } of Object.values(setup.models)) await model[Symbol.asyncDispose]();

/** Of a user's adapters, by where they are. */
function parameters() {
  const places = Object.entries(setup.models);
  return Object.fromEntries(places.map(([place, { model }]) => [place, parametersOf(model, PLACES[place])]));
}

/** The users of the other groups, but those whom the file has with these settings. */
async function runOthers(run, settings) {
  const known = [...before.rows, ...rows].filter((row) => isDeepStrictEqual(row.settings, settings));
  const runs = [];
  for (const seed of seedsOf(values.seeds)) {
    const same = known.flatMap((row) => row.runs).find((each) => each.seed === seed);
    runs.push(same ?? (await runAll(run, settings, [seed], "others"))[0]);
  }
  return runs;
}

function parametersOf({ modules }, { rank }) {
  return modules.reduce((sum, { inFeatures, outFeatures }) => sum + rank * (inFeatures + outFeatures), 0);
}

/** Everything that users share; each text is embedded once, by the base model. */
async function setUp(folder) {
  const models = {};
  for (const [place, { targets }] of Object.entries(PLACES)) models[place] = await openMiniLm(folder, targets);
  const { embed } = Object.values(models)[0];
  const plain = loadCorpus();
  const documentVectors = await embed(plain.documents.map(({ name }) => name));
  const keywordVectors = await embed(plain.keywords.map(({ text }) => text));
  const corpus = { ...plain, documentVectors, keywordVectors };
  const index = await EmbeddingIndex.create(documentVectors.map((vector, row) => [row, vector]));
  return { models, corpus, index, evaluator: new Evaluator(corpus) };
}

async function runAll(run, settings, seeds, among) {
  const runs = [];
  for (const seed of seeds) {
    const task = buildTask(setup.corpus, { ...TASK, seed, groups: groupsAmong(among, setup.corpus.groups) });
    const base = scoresOf(setup.evaluator, IDENTITY, task, 0);
    runs.push({ seed, base, ...(await run(setup, task, seed, settings)) });
  }
  return runs;
}

function gainOf({ unseen, base }) {
  return unseen - base.unseen;
}

function costOf({ unrelated, base }) {
  return 1 - unrelated / base.unrelated;
}

function meanOf(runs, of) {
  return runs.reduce((sum, run) => sum + of(run), 0) / runs.length;
}
