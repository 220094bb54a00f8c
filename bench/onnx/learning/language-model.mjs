// Usage: node learning/language-model.mjs --model FOLDER [--seeds 11,12,…,30] [--rate 0.01] [--layers 8] [--passes 5]
// A language model takes up one user's facts from two questions each, and is asked in other words. The folder holds
// model.onnx and the tokenizer, as export-smollm2.py makes it. Writes results/language-model.json after each user, and the report;
// users that the file has with the same settings are not run again.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { performance } from "node:perf_hooks";
import { isDeepStrictEqual, parseArgs } from "node:util";
import * as ort from "onnxruntime-node";
import { adamw } from "../../../packages/microlora/dist/index.js";
import { combine, klToBase, openModel, tokenNll } from "../../../packages/onnx/dist/node.js";
import { createRandom } from "../../emoji/dist/random.js";
import { IGNORED, openChat, scoreAnswers } from "./chat.mjs";
import { FACTS, HELD, promptOf, UNRELATED } from "./facts.mjs";
import { machine } from "./machine.mjs";
import { writeReport } from "./report.mjs";

const { values } = parseArgs({
  options: {
    model: { type: "string" },
    seeds: { type: "string", default: Array.from({ length: 20 }, (_, i) => 11 + i).join() },
    rate: { type: "string", default: "0.01" },
    layers: { type: "string", default: "8" },
    passes: { type: "string", default: "5" },
  },
});
if (values.model === undefined) throw new Error("Name the folder of the model: --model FOLDER");
const folder = resolve(values.model);
const LAYERS = 30;
const RANK = 2;
/** Weight of the divergence from the base on questions that are none of the user's. */
const HOLD = 1;
const BATCH = 6;

const learningRate = Number(values.rate);
const passes = Number(values.passes);
const first = LAYERS - Number(values.layers);
const targets = ({ name }) => Number(/layers\.(\d+)\./.exec(name)?.[1] ?? -1) >= first && /v_proj|down_proj/.test(name);
const model = await openModel(join(folder, "model.onnx"), { ort, targets });
const batchOf = openChat(folder);

const out = join(import.meta.dirname, "results/language-model.json");
const parameters = model.modules.reduce((sum, each) => sum + RANK * (each.inFeatures + each.outFeatures), 0);
const setting = { layers: Number(values.layers), rank: RANK, learningRate, passes, parameters };
const before = existsSync(out) ? JSON.parse(readFileSync(out, "utf8")) : {};
const runs = isDeepStrictEqual(before.setting, setting) ? before.runs : [];
for (const seed of values.seeds.split(",").map(Number)) {
  if (runs.some((run) => run.seed === seed)) continue;
  runs.push(await runUser(seed));
  writeFileSync(out, `${JSON.stringify({ machine: machine(), setting, runs }, null, 1)}\n`);
}
writeReport();
await model[Symbol.asyncDispose]();

/** One user: facts drawn by seed, learned in passes over all of them; beside it the same facts told in the prompt. */
async function runUser(seed) {
  const random = createRandom(seed);
  const facts = FACTS.map((fact) => {
    const [value, other] = random.shuffle(fact.values);
    return { ...fact, told: fact.answer(value), other: fact.answer(other) };
  });
  const asked = (ways, answer) => facts.flatMap((fact) => fact[ways].map((question) => [question, fact[answer]]));
  const score = async (options) => ({
    unseen: await scoreOf(asked("unseen", "told"), options),
    otherValues: await scoreOf(asked("unseen", "other"), options),
    unrelated: await scoreOf(UNRELATED, options),
  });
  const learning = { optimizer: adamw(), learningRate, ewcLambda: 0 };
  const adapter = await model.createAdapter({ rank: RANK, seed, learning });
  const before = await score({});
  const prompt = await score({ system: promptOf(facts.map(({ told }) => told)) });
  const examples = random.shuffle(asked("learned", "told"));
  const start = performance.now();
  for (let pass = 0; pass < passes; pass++) {
    for (let from = 0; from < examples.length; from += BATCH) await step(examples.slice(from, from + BATCH), adapter);
  }
  const seconds = (performance.now() - start) / 1000;
  const after = await score({ adapters: adapter });
  adapter[Symbol.dispose]();
  const run = { seed, before, prompt, after, seconds };
  console.error(JSON.stringify(run));
  return run;
}

/** The KL term reads rows of its own, which carry no labels; token t is predicted at t - 1. */
async function step(examples, adapter) {
  const { feeds, labels } = batchOf([...examples, ...HELD]);
  const isHeld = (row) => row >= examples.length;
  const learned = labels.map((row, i) => (isHeld(i) ? row.map(() => IGNORED) : row));
  const mask = labels.map((row, i) =>
    row.map((_, token) => (isHeld(i) && (row[token + 1] ?? IGNORED) !== IGNORED ? 1 : 0)),
  );
  const loss = combine([
    [1, tokenNll({ labels: learned })],
    [HOLD, klToBase({ mask })],
  ]);
  await model.learn({ feeds, loss }, { adapter });
}

async function scoreOf(pairs, { adapters, system }) {
  const { feeds, labels } = batchOf(pairs, system);
  const { logits } = await model.run(feeds, adapters === undefined ? {} : { adapters });
  const scores = scoreAnswers(logits, labels);
  return {
    logProbability: scores.reduce((sum, each) => sum + each.logProbability, 0) / scores.length,
    greedy: scores.filter(({ isGreedy }) => isGreedy).length / scores.length,
  };
}
