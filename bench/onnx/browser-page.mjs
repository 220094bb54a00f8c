// Runs in the page that browser.mjs opens, with `globalThis.settings`.
import { openModel, vjp } from "@microlora/onnx";
import * as ort from "onnxruntime-web/wasm";
import { quartiles, timed } from "./timing.mjs";

const { sizes, runs, threads } = globalThis.settings;
ort.env.wasm.wasmPaths = "/ort/";
ort.env.wasm.numThreads = threads;

const WIDTH = 384;
const VOCABULARY = 30_000;

function feedsOf(rows, tokens) {
  const int64 = (valueAt) => {
    const data = BigInt64Array.from({ length: rows * tokens }, (_, i) => BigInt(valueAt(i)));
    return new ort.Tensor("int64", data, [rows, tokens]);
  };
  return {
    input_ids: int64((i) => 1000 + ((i * 7919) % (VOCABULARY - 1000))),
    attention_mask: int64(() => 1),
    token_type_ids: int64(() => 0),
  };
}

async function main() {
  const plain = await ort.InferenceSession.create("/model/model.onnx");
  let model;
  const opening = await timed(async () => {
    model = await openModel("/model/model.onnx", { ort, targets: ["query", "value"] });
  });
  const adapter = await model.createAdapter({ rank: 2 });
  for (const { name } of model.modules) adapter.getAdapter(name).loraB.fill(0.01);
  const outputs = plain.outputNames.slice(0, 1);
  const gradients = (feeds, seed) => model.gradients({ feeds, loss: vjp({ [outputs[0]]: seed }) }, { adapter });
  const seedOf = (rows, tokens) => {
    const data = Float32Array.from({ length: rows * tokens * WIDTH }, (_, i) => Math.sin(i));
    return new ort.Tensor("float32", data, [rows, tokens, WIDTH]);
  };
  const first = await timed(() => gradients(feedsOf(1, 8), seedOf(1, 8)));
  const table = [];
  for (const [rows, tokens] of sizes) {
    const [feeds, seed] = [feedsOf(rows, tokens), seedOf(rows, tokens)];
    const contenders = {
      plain: () => plain.run(feeds, outputs),
      adapted: () => model.run(feeds, { adapters: adapter, outputs }),
      learned: () => gradients(feeds, seed),
    };
    const times = { plain: [], adapted: [], learned: [] };
    for (let turn = -2; turn < runs; turn++) {
      for (const [name, run] of Object.entries(contenders)) {
        const time = await timed(run);
        if (turn >= 0) times[name].push(time);
      }
    }
    const ratios = (name) => quartiles(times[name].map((time, i) => time / times.plain[i]));
    table.push({
      ...{ rows, tokens },
      plain: quartiles(times.plain)[1],
      learned: quartiles(times.learned)[1],
      forwardRatio: ratios("adapted"),
      learnRatio: ratios("learned"),
    });
  }
  const used = globalThis.crossOriginIsolated ? ort.env.wasm.numThreads : 1;
  return { ort: ort.env.versions.web, threads: used, opening, first, table };
}

globalThis.result = main();
