// Learning through a whole model that takes care of itself: requests that are held back tell whether updates help, earlier ones are replayed,
// and a restart goes on to the bit. The model is a tiny one with random weights and letters as tokens, so that this runs anywhere.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type GradientRequest, ModelLearner, tokenNll } from "@microlora/onnx";
import { openModel } from "@microlora/onnx/node";
import { adamw, METHODS } from "microlora";
import { save } from "microlora/node";
import * as ort from "onnxruntime-web";

ort.env.wasm.numThreads = 1;
const path = new URL("../../packages/onnx/fixtures/llama-dynamo/model.onnx", import.meta.url);
const model = await openModel(path, { ort, targets: ({ kind }) => kind === "linear" });

/** A text to say, printable ASCII as tokens 1 to 95; one with a weight below 0 is to be unlearned. */
function request(text: string, weight = 1): GradientRequest {
  const codes = Array.from(text, (letter) => letter.charCodeAt(0) - 31);
  const ids = { type: "int64", dims: [1, codes.length], data: BigInt64Array.from(codes, BigInt) };
  const mask = { ...ids, data: ids.data.map(() => 1n) };
  return { feeds: { input_ids: ids, attention_mask: mask }, loss: tokenNll({ labels: [codes], weights: [weight] }) };
}

const texts = ["I live in Oslo.", "My dog is Rex.", "I play the oboe.", "I bake at night."];
const textOf = (k: number) => texts[(k * 3) % 4]!;

const user = await model.createAdapter({ rank: 4, learning: { optimizer: adamw(), learningRate: 0.01 } });
const learner = new ModelLearner(model, user, {
  guard: { hold: 4, share: 3, every: 6, strictness: 0 },
  replay: { bytes: 16 * 1024 },
  maxDelta: 4,
});

// Good feedback, then somebody whose feedback turns all of it against the user.
for (let k = 0; k < 36; k++) await learner.learn(request(textOf(k)));
const { promoted } = learner.report().guard!;
for (let k = 0; k < 18; k++) await learner.learn(request(textOf(k), k % 3 === 2 ? 1 : -1));
const { guard, replay } = learner.report();
console.log(`kept ${promoted} times while feedback was good; then ${guard!.rejected} times taken back`);
console.log(`${guard!.held} requests held back, ${replay!.count} to replay`);

// The process may end here, or after any other request: the file has all of it.
const folder = await mkdtemp(join(tmpdir(), "learner-"));
await save(learner, join(folder, "user.mlora"));
const again = await ModelLearner.fromBytes(model, await readFile(join(folder, "user.mlora")), { methods: METHODS });
for (let k = 0; k < 12; k++) {
  await learner.learn(request(textOf(k)));
  await again.learn(request(textOf(k)));
}
const same = Buffer.compare(await learner.toBytes(), await again.toBytes()) === 0;
console.log(`the same bits as without a restart: ${same}`);
await rm(folder, { recursive: true });
await model[Symbol.asyncDispose]();
