// Bring your PEFT adapter: what Python trained runs on the ONNX export of its base, in Node or in a page, with PEFT's own
// logits; it goes on learning there, and goes back to Python.
import { readFile } from "node:fs/promises";
import { openModel, tokenNll } from "@microlora/onnx";
import type { MicroLora } from "microlora";
import * as ort from "onnxruntime-web";

// A page would fetch the three files; nothing else here is Node's.
const folder = new URL("../adapters/tiny-llama/", import.meta.url);
const config = await readFile(new URL("adapter_config.json", folder));
const weights = await readFile(new URL("adapter_model.safetensors", folder));
const base = await readFile(new URL("../../packages/formats/src/picture/fixtures/llama.onnx", import.meta.url));

ort.env.wasm.numThreads = 1;
const { target_modules: targets } = JSON.parse(config.toString());
const model = await openModel(base, { ort, targets });
const lora = await model.loadAdapter({ config, weights });

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
const back = await model.saveAdapter(lora, "peft");
console.log(`back to PeftModel.from_pretrained: ${back.config.length} + ${back.weights.length} bytes`);
await model.close();
