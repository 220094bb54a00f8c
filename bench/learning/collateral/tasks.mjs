// Writes what search.py reads: embeddings of the emoji search, and users on the tuning groups.
//   node tasks.mjs FOLDER            the embedder of this repository
//   node tasks.mjs FOLDER minilm     embeddings that minilm.py wrote there
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadEmbedder } from "../../../packages/embed/dist/node.js";
import { embedCorpus, loadCorpus } from "../../emoji/dist/corpus.js";
import { TASK, TUNING_GROUPS } from "../../emoji/dist/hyperparameters.js";
import { buildTask, swapHalves } from "../../emoji/dist/task.js";

const [folder, source = "static"] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const corpus = loadCorpus();
const path = (name) => join(folder, name);
writeFileSync(path("corpus.json"), JSON.stringify(corpus));

const embedded = source === "static" ? embedCorpus(corpus, await loadEmbedder()) : read();
const write = (name, vectors) =>
  writeFileSync(
    path(name),
    Buffer.concat(vectors.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength))),
  );
write(`${source}-documents.f32`, embedded.documentVectors);
write(`${source}-keywords.f32`, embedded.keywordVectors);

/** Users whose taste is drawn from `groups`, each learning from either half. */
function users(groups, topics, seeds) {
  return seeds.flatMap((seed) => {
    const task = buildTask(embedded, { ...TASK, seed, groups, topics });
    return [task, swapHalves(task)].map(({ learning, unseen, unrelated }) => ({ learning, unseen, unrelated }));
  });
}

const pairs = TUNING_GROUPS.flatMap((a, i) => TUNING_GROUPS.slice(i + 1).map((b) => [a, b]));
const seedsFrom = (first, count) => Array.from({ length: count }, (_, i) => first + i);
const tasks = {
  // The taste of `npm start`; what is unrelated to it lies outside the tuning groups.
  topics: users(TUNING_GROUPS, 4, seedsFrom(100, 12)),
  // Two groups liked, two that have to be left alone: the harder case, and the nearer one to groups not tuned on.
  pairs: pairs.flatMap((pair, i) => users(pair, 2, seedsFrom(200 + 10 * i, 2))),
};
writeFileSync(path(`${source}-tasks.json`), JSON.stringify(tasks));

function read() {
  const rows = (name) => {
    const bytes = readFileSync(path(name));
    const floats = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    const width = 384;
    return Array.from({ length: floats.length / width }, (_, i) => floats.subarray(i * width, (i + 1) * width));
  };
  return { ...corpus, documentVectors: rows("minilm-documents.f32"), keywordVectors: rows("minilm-keywords.f32") };
}
