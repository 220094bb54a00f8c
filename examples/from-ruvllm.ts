// From RuvLLM: a state that the Rust original saved goes on here, and goes back, or on to Python.
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import {
  decodeBincode,
  encodeBincode,
  encodePeft,
  fromMicroLora,
  renameModules,
  toMicroLora,
} from "@microlora/formats";
import { MicroLora } from "microlora";

const path = process.argv[2] ?? fileURLToPath(new URL("../adapters/ruvllm-state.bin", import.meta.url));
const state = decodeBincode(await readFile(path));
const modules = state.targets.map(({ module }) => module);
console.log(`${modules.join(", ")} after ${state.notes.get("bincode.adaptations")} adaptations`);

// Its weights, in an engine that feeds its Fisher information and checks what it is given.
using lora = await MicroLora.fromState(toMicroLora(state, { learning: { learningRate: 0.02, ewcLambda: 100 } }));
const [first] = state.targets;
if (first === undefined) throw new Error("a state has at least one module");
const x = Float32Array.from({ length: first.inFeatures }, (_, i) => Math.sin(i));
const gradient = Float32Array.from({ length: first.outFeatures }, (_, i) => Math.cos(i));
lora.learn(x, { gradient, module: first.module });
lora.consolidate();

const learned = fromMicroLora(lora.exportState());
console.log(`back to MicroLoRA::load: ${encodeBincode(learned).length} bytes`);

// The original knows a module by its kind; PEFT wants to know of which layer.
const placed = renameModules(learned, (module) => `model.layers.0.self_attn.${module}`);
console.log(`on to PEFT: ${encodePeft(placed).weights.length} bytes for ${placed.targets[0]?.module}`);
