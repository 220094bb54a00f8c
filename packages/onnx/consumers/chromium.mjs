import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const TYPES = { ".wasm": "application/wasm", ".mjs": "text/javascript" };
/** What threads in WebAssembly need: a page that shares its memory with no other. */
const ISOLATED = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

/**
 * Runs a script in real Chromium, in a page of its own for each visit, and returns what each leaves in `globalThis.result`.
 * @param entry the script, which is bundled; @param roots folders that it can fetch from, by the first part of a path
 * @param visits what the script finds in `globalThis.settings`, visit by visit; what it stores is there at the next one
 */
export async function runInChromium({ entry, roots, visits = [{}], executablePath }) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    format: "esm",
    target: "es2022",
    write: false,
  });
  const server = createServer((request, response) => {
    const [, root, ...rest] = normalize(decodeURIComponent(new URL(request.url, "http://x").pathname)).split("/");
    const send = (type) => response.writeHead(200, { ...ISOLATED, "content-type": type });
    if (root === "page.js") return send("text/javascript").end(outputFiles[0].contents);
    if (root === "") return send("text/html").end('<title>check</title><link rel="icon" href="data:,">');
    const path = Object.hasOwn(roots, root) && join(roots[root], ...rest);
    if (!path || !existsSync(path) || !statSync(path).isFile()) return response.writeHead(404).end();
    createReadStream(path).pipe(send(TYPES[extname(path)] ?? "application/octet-stream"));
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  try {
    const context = await browser.newContext();
    const results = [];
    for (const settings of visits) {
      const page = await context.newPage();
      page.on("console", (message) => console.error(`page: ${message.text()}`));
      await page.goto(`http://127.0.0.1:${server.address().port}/`);
      await page.evaluate((given) => {
        globalThis.settings = given;
      }, settings);
      await page.addScriptTag({ type: "module", url: "/page.js" });
      results.push(await page.evaluate(async () => await globalThis.result));
      await page.close();
    }
    return { results, version: browser.version() };
  } finally {
    await browser.close();
    server.close();
  }
}
