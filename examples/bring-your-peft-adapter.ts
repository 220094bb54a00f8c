// Bring your PEFT adapter: what Python trained runs on the ONNX export of its base, in Node or in a page, with PEFT's own
// logits; it goes on learning there, and goes back to Python.
import { readFile } from "node:fs/promises";
import { decodePeft, encodePeft, fitToModel, fromMicroLora, targetNames, toMicroLora } from "@microlora/formats";
import { openModel, tokenNll } from "@microlora/onnx";
import { MicroLora } from "microlora";
import * as ort from "onnxruntime-web";

// A page would fetch the three files; nothing else here is Node's.
const folder = new URL("../adapters/tiny-llama/", import.meta.url);
const config = await readFile(new URL("adapter_config.json", folder));
const weights = await readFile(new URL("adapter_model.safetensors", folder));
const base = await readFile(new URL("../../packages/formats/src/picture/fixtures/llama.onnx", import.meta.url));

const adapter = decodePeft({ config, weights });
const modules = targetNames(adapter);
console.log(
  `${adapter.targets.length} modules of rank ${adapter.targets[0]?.rank}, for ${adapter.baseModel}: ${modules}`,
);

ort.env.wasm.numThreads = 1;
const model = await openModel(base, { ort, targets: modules });
const lora = await MicroLora.fromState(toMicroLora(fitToModel(adapter, model)));

const ids = [3, 14, 15, 9, 2, 6];
const feeds = { input_ids: { type: "int64", dims: [1, ids.length], data: BigInt64Array.from(ids, BigInt) } };
async function firstLogit(adapters: MicroLora | null): Promise<string> {
  const { logits } = await model.run(feeds, { adapters });
  return Number((logits?.data as Float32Array | undefined)?.[0]).toFixed(4);
}
console.log(`first logit: ${await firstLogit(null)} without it, ${await firstLogit(lora)} with it`);

const loss = tokenNll({ labels: [ids] });
const before = await model.learn({ feeds, loss }, { adapter: lora, learningRate: 0.1 });
const { loss: after } = await model.gradients({ feeds, loss }, { adapter: lora });
console.log(`loss of one text ${before.loss.toFixed(4)}, after one step ${after.toFixed(4)}`);

// Back under the names that Python has for the modules.
const names = adapter.targets.map((target) => ({ ...target, name: target.module }));
const learned = fitToModel(fromMicroLora(lora.exportState()), { modules: names });
const back = encodePeft({ ...learned, baseModel: adapter.baseModel });
console.log(`back to PeftModel.from_pretrained: ${back.config.length} + ${back.weights.length} bytes`);
await model[Symbol.asyncDispose]();
