// Runs in a browser: gradients with `browserCache`, whose entries are damaged beforehand as `settings` says.
import { browserCache, openModel, tokenNll } from "@microlora/onnx";
import * as ort from "onnxruntime-web/wasm";

ort.env.wasm.wasmPaths = "/ort/";
ort.env.wasm.numThreads = 1;

const NAME = "derivations-of-a-check";
const DAMAGES = {
  flipped: (bytes) => bytes.with(bytes.length - 1, bytes.at(-1) ^ 1),
  truncated: (bytes) => bytes.subarray(0, bytes.length / 2),
};

async function main({ damage }) {
  const storage = await caches.open(NAME);
  const entries = await storage.keys();
  for (const entry of damage === null ? [] : entries) {
    const bytes = new Uint8Array(await (await storage.match(entry)).arrayBuffer());
    await storage.put(entry, new Response(DAMAGES[damage](bytes)));
  }
  const kept = browserCache(NAME);
  let derived = 0;
  const cache = {
    get: kept.get,
    set(key, bytes) {
      derived++;
      return kept.set(key, bytes);
    },
  };
  const model = await openModel("/fixtures/gpt2-legacy/model.onnx", { ort, targets: ["q_proj"], cache });
  const ids = { type: "int64", dims: [1, 6], data: BigInt64Array.of(5n, 17n, 3n, 80n, 41n, 2n) };
  const feeds = { input_ids: ids, attention_mask: { ...ids, data: ids.data.map(() => 1n) } };
  const adapter = await model.createAdapter({ seed: 3 });
  const { loss, gradients } = await model.gradients({ feeds, loss: tokenNll({ labels: ids }) }, { adapter });
  const parts = [...gradients.get(adapter).values()].flatMap(({ loraA, loraB }) => [...loraA, ...loraB]);
  await model[Symbol.asyncDispose]();
  return { found: entries.length, derived, gradients: [loss, ...parts] };
}

globalThis.result = main(globalThis.settings);
