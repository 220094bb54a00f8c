// Writes the hostile files of this folder again: node make.mjs. CI runs it, and a difference fails.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bincode } from "./bincode.mjs";
import { gguf } from "./gguf.mjs";
import { onnxAdapter } from "./onnx-adapter.mjs";
import { peft } from "./peft.mjs";
import { pytorch } from "./pytorch.mjs";
import { safetensors } from "./safetensors.mjs";

const FILES = join(import.meta.dirname, "fixtures");
const folder = (...path) => {
  mkdirSync(join(FILES, ...path), { recursive: true });
  return join(FILES, ...path);
};

rmSync(FILES, { recursive: true, force: true });
/** The table of all of them: what each has to be refused with. */
const expected = {};
for (const [format, extension, attacks] of [
  ["gguf", "gguf", gguf],
  ["onnx_adapter", "onnx_adapter", onnxAdapter],
  ["safetensors", "safetensors", safetensors],
  ["bincode", "bin", bincode],
  ["pytorch", "pt", pytorch],
]) {
  for (const [name, [code, bytes]] of Object.entries(attacks)) {
    writeFileSync(join(folder(format), `${name}.${extension}`), bytes);
    expected[`${format}/${name}.${extension}`] = code;
  }
}
for (const [name, [code, { config, weights }]] of Object.entries(peft)) {
  writeFileSync(join(folder("peft", name), "adapter_config.json"), config);
  writeFileSync(join(folder("peft", name), "adapter_model.safetensors"), weights);
  expected[`peft/${name}`] = code;
}
writeFileSync(join(FILES, "expected.json"), `${JSON.stringify(expected, null, 2)}\n`);
