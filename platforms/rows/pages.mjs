import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { openBrowser, outcomeOf } from "../lib/browser.mjs";
import { faultOf } from "../lib/checks.mjs";
import { linearModel } from "../lib/linear-model.mjs";
import { Project } from "../lib/project.mjs";
import { serve } from "../lib/serve.mjs";

/** A name that is not this machine's, so that a page over plain http counts as insecure: no Cache Storage, no crypto.subtle. */
const HOST = "plain.test";

const html = (script, policy = "") =>
  `<!doctype html><html lang="en"><head><meta charset="utf-8">${policy}</head><body><script src="${script}"></script></body></html>`;
const frame = (page) =>
  `<!doctype html><html lang="en"><body><iframe sandbox="allow-scripts" src="${page}"></iframe></body></html>`;

/** Pages that browsers trust less: over plain http, in a sandboxed frame, from a file. */
export async function run({ tarballs, check }) {
  const project = Project.install("bundlers", tarballs);
  const out = project.path("dist-pages");
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out);
  for (const entry of ["page-url", "page-inline", "page-onnx"]) {
    // Scripts of the old kind, since a sandboxed frame and a file may not load modules.
    project.run("esbuild", [
      `${entry}.js`,
      "--bundle",
      "--format=iife",
      "--target=es2022",
      `--outfile=${out}/${entry}.js`,
      "--log-level=error",
    ]);
    writeFileSync(project.path("dist-pages", `${entry}.html`), html(`${entry}.js`));
    writeFileSync(project.path("dist-pages", `framed-${entry}.html`), frame(`${entry}.html`));
  }
  cpSync(project.path("node_modules/@microlora/embed/weights"), `${out}/weights`, { recursive: true });
  cpSync(project.path("node_modules/onnxruntime-web/dist"), `${out}/ort`, { recursive: true });
  writeFileSync(`${out}/linear.onnx`, linearModel());

  const server = await serve(out);
  const open = await serve(out, { headers: { "access-control-allow-origin": "*" } });
  const browser = await openBrowser([`--host-resolver-rules=MAP ${HOST} 127.0.0.1`]);
  const at = ({ port }, page) => outcomeOf(browser, `http://${HOST}:${port}/${page}.html`);
  const framed = ({ port }, page) =>
    outcomeOf(browser, `http://127.0.0.1:${port}/framed-${page}.html`, { frame: "iframe" });
  const learned = (outcome) => (outcome.hasLearned ? undefined : JSON.stringify(outcome));
  try {
    await check("Chromium, plain http, @microlora/embed", async () => faultOf(await at(server, "page-url")));
    await check("Chromium, plain http, @microlora/onnx", async () => learned(await at(server, "page-onnx")));
    await check("Chromium, sandboxed frame, weights as code", async () => faultOf(await framed(server, "page-inline")));
    await check("Chromium, sandboxed frame, weights from a server that allows it", async () =>
      faultOf(await framed(open, "page-url")),
    );
    await check("Chromium, sandboxed frame, weights from a server that does not: says what to do", async () => {
      const { error } = await framed(server, "page-url");
      return error?.code === "weights-unavailable" && /CORS|inline/.test(error.message)
        ? undefined
        : JSON.stringify(error);
    });
    await check("Chromium, sandboxed frame, @microlora/onnx", async () => learned(await framed(open, "page-onnx")));
    const file = pathToFileURL(`${out}/page-inline.html`).href;
    await check("Chromium, a page from a file, weights as code", async () => faultOf(await outcomeOf(browser, file)));
  } finally {
    await browser.close();
    server.stop();
    open.stop();
  }
}
