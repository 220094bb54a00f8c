// @microlora/onnx in real Chromium. Usage: node browser.mjs [CHROMIUM]
import { join } from "node:path";
import { runInChromium } from "./chromium.mjs";

const [executablePath = "/usr/bin/chromium"] = process.argv.slice(2);
const here = import.meta.dirname;
const roots = { fixtures: join(here, "../fixtures"), ort: join(here, "../../../node_modules/onnxruntime-web/dist") };
const run = (page, visits) => runInChromium({ executablePath, entry: join(here, page), roots, visits });

const {
  results: [result],
} = await run("page.mjs", [{}]);
console.log(JSON.stringify(result));
if (result.zero !== 0) throw new Error("the zero adapter is not the base model");
if (!(result.after < result.before)) throw new Error("learning did not lower the loss");
if (!(result.apart < 1e-5)) throw new Error("rows are not apart");

// Derivations that are kept: a first visit, a second one, two after which the entry was damaged, and one after each that it was mended.
const visits = [null, null, "flipped", null, "truncated", null].map((damage) => ({ damage }));
const derivations = [1, 0, 1, 0, 1, 0];
const { results } = await run("cache-page.mjs", visits);
for (const [visit, { found, derived, gradients }] of results.entries()) {
  const { damage } = visits[visit];
  console.log(`visit ${visit + 1}${damage === null ? "" : `, entry ${damage}`}: ${found} found, ${derived} derived`);
  if (found !== Math.min(visit, 1)) throw new Error("the browser did not keep the entry, or more than one");
  if (derived !== derivations[visit]) throw new Error(`${derivations[visit]} derivations were expected`);
  if (String(gradients) !== String(results[0].gradients))
    throw new Error("gradients differ from those of the first visit");
}
