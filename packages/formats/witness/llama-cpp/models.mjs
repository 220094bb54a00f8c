// node models.mjs: in llama.cpp itself, the tiny models of src/gguf/models beside our adapters against the same models with the
// product merged into their weights, once by llama.cpp's own converter and once by us; next-token probabilities at every position.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { getLlama } from "node-llama-cpp";
import { applyRules, FILE_FORMATS } from "../../dist/index.js";
import { mergeGguf, readAdapter, readBaseModel } from "../../dist/node.js";

const FIXTURES = join(import.meta.dirname, "../../src/gguf/models/fixtures");
const TOKENS = [3, 17, 8, 25, 31, 4, 12, 39];
const only = process.argv.slice(2);
const llama = await getLlama({ build: "never", gpu: false, skipDownload: true, logLevel: "error" });
const folder = mkdtempSync(join(tmpdir(), "models-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

async function probabilities(modelPath, adapter) {
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({
    contextSize: 64,
    threads: 1,
    flashAttention: false,
    experimentalKvCacheKeyType: "F32",
    experimentalKvCacheValueType: "F32",
    ...(adapter && { lora: { adapters: [{ filePath: adapter, scale: 1 }] } }),
  });
  const options = { temperature: 1, topK: 0, topP: 1, minP: 0 };
  const asked = TOKENS.map((token) => [token, { generateNext: { probabilities: true, options } }]);
  const evaluated = await context.getSequence().controlledEvaluate(asked);
  await context.dispose();
  await model.dispose();
  return evaluated.flatMap(({ next }) => Array.from({ length: 40 }, (_, token) => next.probabilities.get(token) ?? 0));
}

const furthest = (a, b) => a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

let failed = 0;
for (const name of readdirSync(FIXTURES).filter((name) => !name.endsWith(".json"))) {
  // node-llama-cpp runs no encoders before decoders.
  if (name === "t5" || (only.length > 0 && !only.includes(name))) continue;
  const at = (file) => join(FIXTURES, name, file);
  const base = await readBaseModel(at("config.json"));
  const { file } = await readAdapter(join(FIXTURES, name));
  const [adapter, merged] = [join(folder, `${name}.lora.gguf`), join(folder, `${name}.gguf`)];
  writeFileSync(adapter, FILE_FORMATS.gguf.encode(file, { base }));
  await mergeGguf(at("base.gguf"), merged, file, { base });
  const alone = await probabilities(at("base.gguf"));
  const beside = await probabilities(at("base.gguf"), adapter);
  const [theirs, ours] = [await probabilities(at("merged.gguf")), await probabilities(merged)];
  const apart = { beside: furthest(beside, theirs), merged: furthest(ours, theirs) };
  const acts = furthest(alone, theirs);
  const isRight = acts > 1000 * Math.max(apart.beside, apart.merged, 1e-9);
  if (!isRight) failed++;
  const said = `moves probabilities by up to ${acts.toExponential(1)}; beside the model ${apart.beside.toExponential(1)} from merged weights, merged by us ${apart.merged.toExponential(1)}`;
  console.log(`${isRight ? "" : "WRONG "}llama.cpp with ${name}, ${file.targets.length} modules: ${said}`);
}

// A tied model whose head alone is adapted: merging gives it a head of its own, which llama.cpp takes.
if (only.length === 0) {
  const { file } = await readAdapter(join(FIXTURES, "llama-untied"));
  const head = applyRules(file, { only: ["lm_head"] });
  const merged = join(folder, "head.gguf");
  const { warnings } = await mergeGguf(join(FIXTURES, "llama-tied", "base.gguf"), merged, head);
  const apart = furthest(await probabilities(join(FIXTURES, "llama-tied", "base.gguf")), await probabilities(merged));
  console.log(
    `llama.cpp with a head that was untied: moves probabilities by up to ${apart.toExponential(1)}; ${warnings.join("; ")}`,
  );
  if (!(apart > 1e-3)) failed++;
}
await llama.dispose();
process.exit(failed === 0 ? 0 : 1);
