// node write-peft.mjs FOLDER: PEFT folders as we write them, of PEFT's own adapters and of ones that learned here; of the
// latter also the model with the adapter merged in.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MicroLora } from "microlora";
import {
  decodePeft,
  decodeSafetensors,
  encodePeft,
  encodeSafetensors,
  foldReplaced,
  fromMicroLora,
  mergeTensors,
  toMicroLora,
} from "../dist/index.js";

const folder = process.argv[2];
const fixtures = join(import.meta.dirname, "../src/peft/fixtures");
const read = (...path) => readFileSync(join(fixtures, ...path));
const baseOf = (name) => decodeSafetensors(read(`base-${name.split("-")[0]}.safetensors`));

for (const name of readdirSync(fixtures).filter((name) => !/^base-|^refused$|\.json$/.test(name))) {
  const file = decodePeft({
    config: read(name, "adapter_config.json"),
    weights: read(name, "adapter_model.safetensors"),
  });
  write(name, encodePeft(file));
  write(`${name}.uniform`, encodePeft(file, { uniform: true, dtype: "F32" }));
  if (["bert-all", "bert-classifier", "bert-everything"].includes(name)) continue; // more of the model was trained than a MicroLora holds
  const folded = foldReplaced(file, (tensor) => baseOf(name).tensors.get(tensor));
  const lora = await MicroLora.fromState(toMicroLora(folded), { kernels: "scalar" });
  write(`${name}.micro-lora`, encodePeft(withKinds(fromMicroLora(lora.exportState()), file)));
}

const attention = "model.layers.1.self_attn";
await learn("llama", { [`${attention}.q_proj`]: [16, 16], [`${attention}.v_proj`]: [16, 8], lm_head: [16, 40] }, false);
await learn("bert", { "bert.encoder.layer.0.attention.self.query": [16, 16], "bert.pooler.dense": [16, 16] }, true);

/** An adapter that learned here, on gradients of no meaning. */
async function learn(name, widths, bias) {
  const dimensions = Object.fromEntries(
    Object.entries(widths).map(([module, [inFeatures, outFeatures]]) => [module, { inFeatures, outFeatures }]),
  );
  const targetModules = Object.keys(widths);
  const lora = await MicroLora.create({ rank: 2, alpha: 3, bias, targetModules, dimensions, kernels: "scalar" });
  for (let step = 0; step < 20; step++) {
    for (const [module, [inFeatures, outFeatures]] of Object.entries(widths)) {
      const x = Float32Array.from({ length: inFeatures }, (_, i) => Math.sin(i + step));
      lora.learn(x, { gradient: Float32Array.from({ length: outFeatures }, (_, i) => Math.cos(i * step)), module });
    }
  }
  const file = fromMicroLora(lora.exportState());
  write(`learned-${name}`, encodePeft(file));
  writeFileSync(
    join(folder, `learned-${name}`, "merged.safetensors"),
    encodeSafetensors(mergeTensors(baseOf(name), file)),
  );
}

/** What a MicroLora does not know of its modules. */
function withKinds(file, { targets }) {
  const known = new Map(targets.map((target) => [target.module, target]));
  const restored = file.targets.map((target) => {
    const { kind, weightLayout } = known.get(target.module);
    return { ...target, kind, weightLayout };
  });
  return { ...file, targets: restored };
}

function write(name, { config, weights }) {
  mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, name, "adapter_config.json"), config);
  writeFileSync(join(folder, name, "adapter_model.safetensors"), weights);
}
