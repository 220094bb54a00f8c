// Train here, serve in llama.cpp: what one user taught an adapter becomes a small GGUF file beside the model's own.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { FILE_FORMATS, fromMicroLora } from "@microlora/formats";
import { MicroLora } from "microlora";

// SmolLM2-135M. `readBaseModel` of @microlora/formats/node reads the same from a model's config.json or GGUF file.
const base = { architecture: "llama", attentionHeads: 9, keyValueHeads: 3 };
const hiddenSize = 576;
const targetModules = [28, 29].map((layer) => `model.layers.${layer}.self_attn.q_proj`);

using lora = await MicroLora.create({ hiddenSize, targetModules, rank: 2, baseModel: "HuggingFaceTB/SmolLM2-135M" });

// Stands for the requests of a day, and the gradients at the modules' outputs.
const x = Float32Array.from({ length: hiddenSize }, (_, i) => Math.sin(i));
const gradient = Float32Array.from({ length: hiddenSize }, (_, i) => Math.cos(i));
for (const module of targetModules) for (let i = 0; i < 20; i++) lora.learn(x, { gradient, module });

const bytes = FILE_FORMATS.gguf.encode(fromMicroLora(lora.exportState()), { base });
const path = process.argv[2] ?? join(await mkdtemp(join(tmpdir(), "microlora-")), "user-42.gguf");
await writeFile(path, bytes);
console.log(`${bytes.length} bytes for ${targetModules.length} modules`);
console.log("llama-server -m SmolLM2-135M-Instruct.gguf --lora user-42.gguf");

// What llama.cpp will read, read back: the same numbers, and the heads by which Q's rows are ordered.
const { targets, baseModel } = FILE_FORMATS.gguf.decode(bytes);
const same = targets.every(({ module, loraB }) =>
  lora.getAdapter(module)?.loraB.every((value, i) => value === loraB[i]),
);
console.log(`for ${baseModel}, read back the same: ${same}`);
if (process.argv[2] === undefined) await rm(dirname(path), { recursive: true });
