// @microlora/onnx in real Chromium. Usage: node browser.mjs [CHROMIUM]
import { join } from "node:path";
import { runInChromium } from "./chromium.mjs";

const [executablePath = "/usr/bin/chromium"] = process.argv.slice(2);
const here = import.meta.dirname;
const { result } = await runInChromium({
  executablePath,
  entry: join(here, "page.mjs"),
  roots: { fixtures: join(here, "../fixtures"), ort: join(here, "../../../node_modules/onnxruntime-web/dist") },
});
console.log(JSON.stringify(result));
if (result.zero !== 0) throw new Error("the zero adapter is not the base model");
if (!(result.after < result.before)) throw new Error("learning did not lower the loss");
if (!(result.apart < 1e-5)) throw new Error("rows are not apart");
