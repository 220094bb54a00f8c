// Writes the weights as code beside the compiled code: dist/weights-128.generated.js and -256. `npm run build` runs it after tsc.
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";

for (const width of [128, 256]) {
  const weights = new URL(`../weights/minilm-static-${width}.bin`, import.meta.url);
  const module = new URL(`../dist/weights-${width}.generated.js`, import.meta.url);
  const made = statSync(module, { throwIfNoEntry: false });
  if (made !== undefined && made.mtimeMs > statSync(weights).mtimeMs) continue;
  mkdirSync(new URL("../dist", import.meta.url), { recursive: true });
  writeFileSync(module, `export const base64 = "${readFileSync(weights).toString("base64")}";\n`);
}
