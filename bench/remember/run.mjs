// What a language model remembers of what it was told once: npm run bench:remember -- [--model PATH] [--users 20] [--facts 24] [--first 100] [--file FACTS.json] [--quick]
// Facts are made from a seed (facts.mjs). The settings of the memory were fitted to the users below 100; those from 100 on are kept back.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { openChat } from "@microlora/chat/node";
import * as ort from "onnxruntime-node";
import { SETS } from "./facts.mjs";
import { measureUser } from "./measure.mjs";
import { number, percent } from "./statistics.mjs";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "models/SmolLM2-135M-Instruct.Q4_1.gguf" },
    users: { type: "string", default: "20" },
    facts: { type: "string", default: "24" },
    first: { type: "string", default: "100" },
    sets: { type: "string", default: Object.keys(SETS).join() },
    out: { type: "string", default: "results" },
    // Facts of one's own in place of made ones: { "facts": [{ "q": […], "a": "… @@ …", "v": […] }], "unrelated": [[question, answer]] }.
    file: { type: "string" },
    quick: { type: "boolean", default: false },
  },
});
const [users, facts, first] = [values.users, values.facts, values.first].map(Number);
const chat = await openChat(values.model, { ort, sessionOptions: { logSeverityLevel: 3 } });
const own = values.file && JSON.parse(readFileSync(values.file, "utf8"));
const results = [];
mkdirSync(values.out, { recursive: true });
const file = `${values.out}/${own ? "file" : "facts"}-${facts}-from-${first}.json`;
for (let i = 0; i < users; i++) {
  for (const set of own ? ["file"] : values.sets.split(",")) {
    results.push(await measureUser(chat, set, first + i, facts, { isQuick: values.quick, file: own }));
    const machine = { cpu: cpus()[0].model, node: process.version };
    writeFileSync(file, `${JSON.stringify({ model: values.model.split("/").at(-1), machine, results }, null, 1)}\n`);
    console.error(`user ${first + i}, ${set}: ${(100 * results.at(-1).right).toFixed(0)} % right`);
  }
}
await chat.close();

const column = (pick) => results.map(pick);
console.log(
  `\n${results.length} users of ${[...new Set(column(({ set }) => set))].join(", ")}; ${facts} facts each, told once; mean ± 95 % interval over users\n`,
);
const rows = [
  ["unseen wordings, word for word", percent(column(({ right }) => right))],
  ["unseen wordings, the value in the answer", percent(column(({ value }) => value))],
  ["another fact's answer", percent(column(({ twins }) => twins))],
  ["log-probability a token: nothing told", number(column(({ nothing }) => nothing.value))],
  ["told value", number(column(({ told }) => told.value))],
  ["told value minus another", number(column(({ told }) => told.value - told.another))],
  ["unrelated answers: change a token", number(column(({ unrelatedChange }) => unrelatedChange))],
  ["unrelated answers that change", percent(column(({ unrelatedAnswers }) => unrelatedAnswers))],
  ["told anew: the new value", percent(column(({ anew }) => anew))],
  ["told anew: the old value", percent(column(({ old }) => old))],
  ["forgotten: log-probability minus before", number(column(({ forgotten }) => forgotten))],
  [
    "forgotten: texts left in the file",
    number(
      column(({ left }) => left),
      0,
    ),
  ],
  ["told as statements, asked in questions", percent(column(({ statements }) => statements))],
  ["facts in the prompt: the value in the answer", percent(column(({ inPrompt }) => inPrompt ?? Number.NaN))],
  [
    "three nearest statements in the prompt: the value in the answer",
    percent(column(({ retrieved }) => retrieved ?? Number.NaN)),
  ],
  [
    "bytes a fact",
    number(
      column(({ bytes }) => bytes),
      0,
    ),
  ],
  ["teaching, in forward passes of question and answer", number(column(({ teachRatio }) => teachRatio))],
  [
    "teaching a fact, ms",
    number(
      column(({ teachMs }) => teachMs),
      0,
    ),
  ],
];
const width = Math.max(...rows.map(([name]) => name.length));
for (const [name, value] of rows) console.log(`${name.padEnd(width)}  ${value}`);
