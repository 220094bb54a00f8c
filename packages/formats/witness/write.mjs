// node write.mjs FOLDER: writes the adapters that PEFT saved for tiny models, and onnxruntime's own, as we write them.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decodePeft, FILE_FORMATS } from "../dist/index.js";

const folder = process.argv[2];
const { gguf, onnx_adapter } = FILE_FORMATS;
const fixtures = join(import.meta.dirname, "../src");
const bases = {
  llama: { architecture: "llama", attentionHeads: 4, keyValueHeads: 2, tiedHead: false },
  gpt2: { architecture: "gpt2", attentionHeads: 4, keyValueHeads: 4 },
};

for (const name of readdirSync(join(fixtures, "peft/fixtures")).filter((name) => /^(llama|gpt2)/.test(name))) {
  const base = bases[name.split("-")[0]];
  const [config, weights] = ["adapter_config.json", "adapter_model.safetensors"].map((file) =>
    readFileSync(join(fixtures, "peft/fixtures", name, file)),
  );
  const picture = decodePeft({ config, weights });
  writeFileSync(join(folder, `${name}.gguf`), gguf.encode(picture, { base }));
  writeFileSync(join(folder, `${name}.f32.gguf`), gguf.encode(picture, { base, dtype: "F32" }));
  const linear = { ...picture, targets: picture.targets.filter(({ kind }) => kind === "linear") };
  writeFileSync(join(folder, `${name}.onnx_adapter`), onnx_adapter.encode(linear, { dtype: "F32" }));
}

const olive = onnx_adapter.decode(readFileSync(join(fixtures, "onnx-adapter/fixtures/olive.onnx_adapter")));
writeFileSync(join(folder, "olive.onnx_adapter"), onnx_adapter.encode(olive));
