// node probabilities.mjs JOBS.json: next-token probabilities in llama.cpp itself, at every position, written as float64.
// JOBS.json: [{ base, adapter?, scale?, tokens, out }], paths of files.
import { readFileSync, writeFileSync } from "node:fs";
import { getLlama } from "node-llama-cpp";

const jobs = JSON.parse(readFileSync(process.argv[2], "utf8"));
const llama = await getLlama({ build: "never", gpu: false, skipDownload: true, logLevel: "error" });
const models = new Map();
for (const { base, adapter, scale, tokens, out } of jobs) {
  if (!models.has(base)) models.set(base, await llama.loadModel({ modelPath: base }));
  const model = models.get(base);
  const context = await model.createContext({
    contextSize: 64,
    threads: 1,
    flashAttention: false,
    experimentalKvCacheKeyType: "F32",
    experimentalKvCacheValueType: "F32",
    ...(adapter && { lora: { adapters: [{ filePath: adapter, scale: scale ?? 1 }] } }),
  });
  const options = { temperature: 1, topK: 0, topP: 1, minP: 0 };
  const evaluated = await context
    .getSequence()
    .controlledEvaluate(tokens.map((token) => [token, { generateNext: { probabilities: true, options } }]));
  const rows = evaluated.map(({ next }) =>
    Float64Array.from({ length: next.probabilities.size }, (_, token) => next.probabilities.get(token)),
  );
  writeFileSync(out, Buffer.concat(rows.map((row) => Buffer.from(row.buffer))));
  await context.dispose();
}
await llama.dispose();
