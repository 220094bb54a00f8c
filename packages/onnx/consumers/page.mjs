// Runs in a browser: a model by its address, adapters by row, exact gradients, learning, and a saved adapter read back.
import { openModel, tokenNll } from "@microlora/onnx";
import { MicroLora } from "microlora";
import * as ort from "onnxruntime-web/wasm";

ort.env.wasm.wasmPaths = "/ort/";
ort.env.wasm.numThreads = 1;

const ints = (values, dims) => ({ type: "int64", dims, data: BigInt64Array.from(values, BigInt) });
const largest = (a, b) => a.reduce((max, value, i) => Math.max(max, Math.abs(value - b[i])), 0);

async function main() {
  const [rows, tokens] = [2, 7];
  const ids = Array.from({ length: rows * tokens }, (_, i) => (i * 37 + 11) % 97);
  const ones = ids.map(() => 1);
  const feeds = { input_ids: ints(ids, [rows, tokens]), attention_mask: ints(ones, [rows, tokens]) };
  const base = await (await ort.InferenceSession.create("/fixtures/gpt2-legacy/model.onnx")).run(
    Object.fromEntries(
      Object.entries(feeds).map(([name, { type, data, dims }]) => [name, new ort.Tensor(type, data, dims)]),
    ),
  );
  const opening = performance.now();
  const model = await openModel("/fixtures/gpt2-legacy/model.onnx", { ort, targets: ["q_proj", "v_proj", "c_fc"] });
  const opened = performance.now();
  const zero = largest(base.logits.data, (await model.run(feeds)).logits.data);

  const adapter = await model.createAdapter({ rank: 2, learning: { learningRate: 0.5 } });
  const request = { feeds, loss: tokenNll({ labels: feeds.input_ids }) };
  const { loss: before } = await model.learn(request, { adapter });
  const learning = performance.now();
  for (let step = 0; step < 20; step++) await model.learn(request, { adapter });
  const learned = performance.now();
  const { loss: after } = await model.gradients(request, { adapter });

  const saved = await MicroLora.fromBytes(adapter.toBytes(), { baseModel: model.fingerprint });
  const mixed = (await model.run(feeds, { adapters: [saved, null] })).logits.data;
  const own = (await model.run(feeds, { adapters: adapter })).logits.data;
  const row = base.logits.data.length / 2;
  const apart = Math.max(
    largest(mixed.subarray(0, row), own.subarray(0, row)),
    largest(mixed.subarray(row), base.logits.data.subarray(row)),
  );
  await model[Symbol.asyncDispose]();
  return { zero, before, after, apart, openMs: opened - opening, learnMs: (learned - learning) / 20 };
}

globalThis.result = main();
