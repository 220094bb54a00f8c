// Bring your PEFT adapter: what Python trained runs here, in Node or in a page, goes on learning, and goes back to Python.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { decodePeft, encodePeft, fromMicroLora, toMicroLora } from "@microlora/formats";
import { MicroLora } from "microlora";

// A page would fetch the two files; nothing else here is Node's.
const folder = process.argv[2] ?? fileURLToPath(new URL("../adapters/tiny-llama", import.meta.url));
const config = await readFile(`${folder}/adapter_config.json`);
const weights = await readFile(`${folder}/adapter_model.safetensors`);

const adapter = decodePeft({ config, weights });
const [first] = adapter.targets;
if (first === undefined) throw new Error("an adapter has at least one module");
const { module, rank, inFeatures, outFeatures } = first;
console.log(`${adapter.targets.length} modules of rank ${rank}, for ${adapter.baseModel}`);

using lora = await MicroLora.fromState(toMicroLora(adapter));
const x = Float32Array.from({ length: inFeatures }, (_, i) => Math.sin(i)); // the module's input
const y = new Float32Array(outFeatures); // the base module's output
lora.forwardAdd(x, module, y);
console.log(`${module} adds ${y[0]?.toFixed(6)} …`);

const gradient = y.map((value) => value - 0.1); // dLoss/dy of half the squared distance to 0.1
lora.learn(x, { gradient, module });
console.log(`after one request ${lora.forward(x, module)[0]?.toFixed(6)} …`);

const back = encodePeft(fromMicroLora(lora.exportState()));
console.log(`back to PeftModel.from_pretrained: ${back.config.length} + ${back.weights.length} bytes`);
