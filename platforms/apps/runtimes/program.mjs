import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadEmbedder } from "@microlora/embed";
import { decodePeft, encodePeft, fromMicroLora } from "@microlora/formats";
import { readAdapter, writeAdapter } from "@microlora/formats/node";
import { openModel } from "@microlora/onnx/node";
import { EmbeddingIndex, MicroLora, MicroLoraError, Personalizer } from "microlora";
import { load, save } from "microlora/node";
import { outcomeOf, searchThatLearns } from "./shared/search.js";

/** Saves, loads, and is told when another copy of the state has saved meanwhile. */
async function files() {
  const folder = mkdtempSync(join(tmpdir(), "microlora-"));
  const path = join(folder, "user.mlora");
  const lora = await MicroLora.create({ hiddenSize: 16, rank: 2, targetModules: ["q_proj"] });
  const x = Float32Array.from({ length: 16 }, (_, i) => Math.sin(i));
  lora.learn(x, { gradient: x, module: "q_proj" });
  await save(lora, path);
  const [one, two] = [await load(path), await load(path)];
  const isLoaded = one.forward(x, "q_proj").every((value, i) => value === lora.forward(x, "q_proj")[i]);
  one.learn(x, { gradient: x, module: "q_proj" });
  await save(one, path);
  const conflict = await save(two, path).catch((error) => error);
  await writeAdapter(fromMicroLora(one.exportState()), join(folder, "peft"), "peft");
  const { file } = await readAdapter(join(folder, "peft"));
  const isTyped = conflict instanceof MicroLoraError && conflict.code === "conflict";
  const isConverted = decodePeft(encodePeft(file)).modules?.size !== 0;
  return { isLoaded, isTyped, isConverted, isOpenModel: typeof openModel === "function" };
}

const search = await outcomeOf(() => searchThatLearns({ loadEmbedder, EmbeddingIndex, Personalizer }));
console.log(JSON.stringify({ search, files: await outcomeOf(files) }));
