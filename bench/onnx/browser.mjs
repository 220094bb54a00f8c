// Usage: npm run bench:onnx:browser -- [--model FOLDER] [--sizes 1x32,1x64,…] [--runs N] [--threads N] [--chromium PATH]
// MiniLM in real Chromium on onnxruntime-web's wasm: plain forward, forward with an adapter, loss and gradients, taking turns.
import { cpus } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { runInChromium } from "../../packages/onnx/consumers/chromium.mjs";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: join(import.meta.dirname, "../../../shared/models/minilm") },
    sizes: { type: "string", default: "1x32,1x64,1x128,8x64,8x128" },
    runs: { type: "string", default: "9" },
    threads: { type: "string", default: "2" },
    chromium: { type: "string", default: "/usr/bin/chromium" },
  },
});
const {
  results: [result],
  version,
} = await runInChromium({
  executablePath: values.chromium,
  entry: join(import.meta.dirname, "browser-page.mjs"),
  roots: { model: resolve(values.model), ort: join(import.meta.dirname, "../../node_modules/onnxruntime-web/dist") },
  visits: [
    {
      sizes: values.sizes.split(",").map((size) => size.split("x").map(Number)),
      runs: Number(values.runs),
      threads: Number(values.threads),
    },
  ],
});
const milliseconds = (value) => `${value.toPrecision(3)} ms`;
const ratio = ([low, middle, high]) => `${middle.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;

console.log(
  `Chromium ${version}, onnxruntime-web ${result.ort}, wasm, ${result.threads} threads; ${cpus()[0].model}, ${cpus().length} cores.`,
);
console.log(`Opening ${milliseconds(result.opening)}, first gradients ${milliseconds(result.first)}.\n`);
console.log("| size | plain forward | forward with an adapter / plain | loss and gradients | of a plain forward |");
console.log("|---|---|---|---|---|");
for (const { rows, tokens, plain, learned, forwardRatio, learnRatio } of result.table) {
  console.log(
    `| ${rows}x${tokens} | ${milliseconds(plain)} | ${ratio(forwardRatio)} | ${milliseconds(learned)} | ${ratio(learnRatio)} |`,
  );
}
