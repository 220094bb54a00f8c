// A language model in ONNX takes up one user's facts, through the whole model, and leaves other text as it was.
// The model is a tiny one with random weights and letters as tokens, so that this runs anywhere; with SmolLM2: bench/onnx/learning.
import { combine, klToBase, tokenNll } from "@microlora/onnx";
import { openModel } from "@microlora/onnx/node";
import { adamw } from "microlora";
import * as ort from "onnxruntime-web";

ort.env.wasm.numThreads = 1;
const path = new URL("../../packages/onnx/fixtures/llama-dynamo/model.onnx", import.meta.url);
// Its output layer as well, since with random weights that can say nothing clearly.
const model = await openModel(path, { ort, targets: ({ kind }) => kind === "linear" });

/** Printable ASCII as tokens 1 to 95, padded on the right with 0. */
function encode(texts: readonly string[]) {
  const length = Math.max(...texts.map((text) => text.length));
  const codes = texts.map((text) => Array.from({ length }, (_, i) => (i < text.length ? text.charCodeAt(i) - 31 : 0)));
  const tensor = (rows: readonly (readonly number[])[]) => {
    return { type: "int64", dims: [rows.length, length], data: BigInt64Array.from(rows.flat(), BigInt) };
  };
  const mask = codes.map((row) => row.map((code) => (code === 0 ? 0 : 1)));
  return { feeds: { input_ids: tensor(codes), attention_mask: tensor(mask) }, codes, mask };
}

const facts = ["My dog is called Rex.", "I live in Oslo, by the sea."];
const others = ["The train leaves at nine.", "Bread needs flour and salt."];
const { feeds, codes, mask } = encode([...facts, ...others]);
const isFact = (row: number) => row < facts.length;

// Learn the facts, and hold on to the base model's words elsewhere.
const labels = codes.map((row, i) => row.map((code) => (isFact(i) && code !== 0 ? code : -100)));
const elsewhere = mask.map((row, i) => row.map((on) => (isFact(i) ? 0 : on)));
const loss = combine([
  [1, tokenNll({ labels })],
  [1, klToBase({ mask: elsewhere })],
]);

const user = await model.createAdapter({
  rank: 8,
  alpha: 16,
  learning: { optimizer: adamw(), learningRate: 0.006, ewcLambda: 0 },
});

/** Mean probability of the characters of texts. */
async function probability(texts: readonly string[]): Promise<string> {
  const encoded = encode(texts);
  const nll = tokenNll({ labels: encoded.codes.map((row) => row.map((code) => (code === 0 ? -100 : code))) });
  const { loss: mean } = await model.gradients({ feeds: encoded.feeds, loss: nll }, { adapter: user });
  return Math.exp(-mean).toFixed(3);
}

console.log(`${user.paramCount} parameters on ${model.modules.length} modules`);
console.log(`before: facts ${await probability(facts)}, other text ${await probability(others)}`);
for (let step = 0; step < 100; step++) await model.learn({ feeds, loss }, { adapter: user });
console.log(`after:  facts ${await probability(facts)}, other text ${await probability(others)}`);

// The adapter is the user's own file; the base model has not changed.
console.log(`saved: ${user.toBytes().length} bytes`);
await model[Symbol.asyncDispose]();
