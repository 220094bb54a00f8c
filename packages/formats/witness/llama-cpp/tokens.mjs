// node tokens.mjs MODELS.json TEXTS OUT.json: texts as tokens of llama.cpp, special ones in them included, none around them.
// MODELS.json: { name: path }; TEXTS: a JSON list.
import { readFileSync, writeFileSync } from "node:fs";
import { getLlama } from "node-llama-cpp";

const [models, texts, out] = process.argv.slice(2);
const llama = await getLlama({ build: "never", gpu: false, skipDownload: true, logLevel: "error" });
const tokens = {};
for (const [name, modelPath] of Object.entries(JSON.parse(readFileSync(models, "utf8")))) {
  const model = await llama.loadModel({ modelPath, vocabOnly: true });
  tokens[name] = JSON.parse(texts).map((text) => model.tokenize(text, true));
}
writeFileSync(out, JSON.stringify(tokens));
await llama.dispose();
