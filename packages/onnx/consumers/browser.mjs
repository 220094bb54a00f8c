// @microlora/onnx in real Chromium. Usage: node browser.mjs [CHROMIUM]
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const [executablePath = "/usr/bin/chromium"] = process.argv.slice(2);
const here = import.meta.dirname;
const { outputFiles } = await build({
  entryPoints: [join(here, "page.mjs")],
  bundle: true,
  format: "esm",
  target: "es2022",
  write: false,
});

const ROOTS = { fixtures: join(here, "../fixtures"), ort: join(here, "../../../node_modules/onnxruntime-web/dist") };
const TYPES = { ".wasm": "application/wasm", ".mjs": "text/javascript" };
const server = createServer((request, response) => {
  const [, root, ...rest] = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname)).split("/");
  if (root === "page.js") return response.setHeader("content-type", "text/javascript").end(outputFiles[0].contents);
  if (root === "") return response.setHeader("content-type", "text/html").end("<title>check</title>");
  const path = Object.hasOwn(ROOTS, root) && join(ROOTS[root], ...rest);
  try {
    response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream").end(readFileSync(path));
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  page.on("console", (message) => console.log(`page: ${message.text()}`));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.addScriptTag({ type: "module", url: "/page.js" });
  const result = await page.evaluate(async () => await globalThis.result);
  console.log(JSON.stringify(result));
  if (result.zero !== 0) throw new Error("the zero adapter is not the base model");
  if (!(result.after < result.before)) throw new Error("learning did not lower the loss");
  if (!(result.apart < 1e-5)) throw new Error("rows are not apart");
} finally {
  await browser.close();
  server.close();
}
