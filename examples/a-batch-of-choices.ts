// Several choices that came in together, with nothing known of what was passed over: what the others chose stands for it (InfoNCE).
// One update for all of them.
import { loadEmbedder } from "@microlora/embed";
import { Learner, MicroLora } from "microlora";

const embedder = await loadEmbedder();
const chosen = [
  ["something for the road", "a thermos flask"],
  ["something for the garden", "a watering can"],
  ["something for a rainy day", "a chess set"],
] as const;

using lora = await MicroLora.create({
  hiddenSize: embedder.dimensions,
  bias: true,
  targetModules: ["query"],
  learning: { learningRate: 0.05, ewcLambda: 0 },
});
const learner = new Learner(lora, { temperature: 0.1 });
const items = chosen.map(([, item]) => embedder.embed(item));

/** The query as it is meant: its embedding with the delta. */
function serve(query: string): { x: Float32Array; output: Float32Array } {
  const x = embedder.embed(query);
  const output = x.slice();
  lora.forwardAdd(x, "query", output);
  return { x, output };
}

/** Cosine of a query with what was chosen for it, above that with the nearest other. */
function margins(): string {
  const cosine = (a: Float32Array, b: Float32Array) =>
    a.reduce((sum, v, i) => sum + v * b[i]!, 0) / (Math.hypot(...a) * Math.hypot(...b));
  return chosen
    .map(([query], i) => {
      const scores = items.map((item) => cosine(serve(query).output, item));
      const others = scores.filter((_, j) => j !== i);
      return (scores[i]! - Math.max(...others)).toFixed(2);
    })
    .join(", ");
}

console.log(`margins before: ${margins()}`);
for (let k = 0; k < 50; k++) {
  learner.learnBatch(chosen.map(([query], i) => ({ request: serve(query), chosen: items[i]! })));
}
console.log(`margins after: ${margins()}`);
