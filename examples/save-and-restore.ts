// What was learned survives a restart: weights, Fisher information, anchor, kept clicks and counters.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MicroLora, MicroLoraError } from "microlora";
import { load, save } from "microlora/node";

const folder = await mkdtemp(join(tmpdir(), "microlora-"));
const path = join(folder, "user-42.mlora");
const x = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i));
const gradient = Float32Array.from({ length: 64 }, (_, i) => Math.cos(i));

using lora = await MicroLora.create({ hiddenSize: 64, targetModules: ["v_proj"], baseModel: "my-model@1" });
lora.learn(x, { gradient, module: "v_proj" });
lora.consolidate();
await save(lora, path);

using restored = await load(path, { baseModel: "my-model@1" });
const same = restored.forward(x, "v_proj").every((value, i) => value === lora.forward(x, "v_proj")[i]);
console.log(`same answers after a restart: ${same}`);

try {
  await load(path, { baseModel: "my-model@2" });
} catch (error) {
  if (error instanceof MicroLoraError) console.log(`${error.code}: ${error.message}`);
}
await rm(folder, { recursive: true });
