import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { openBrowser, outcomeOf } from "../lib/browser.mjs";
import { faultOf } from "../lib/checks.mjs";
import { Project } from "../lib/project.mjs";
import { serve } from "../lib/serve.mjs";

const BUN = "node_modules/@oven/bun-linux-x64/bin/bun";
const PAGE = '<!doctype html><html lang="en"><body><script type="module" src="page.js"></script></body></html>';
const [INLINE, URL_FORM, PLAIN] = ["page-inline.js", "page-url.js", "page.js"];

/** A page from each bundler: how it is built into a folder, and which forms of the weights it can carry. */
function pagesOf(project) {
  const esbuild = (entry, out) =>
    project.run("esbuild", [entry, "--bundle", "--minify", "--format=esm", `--outfile=${out}/page.js`]);
  const bun = (entry, out) =>
    project.run(project.path(BUN), ["build", entry, "--minify", "--outdir", out, "--entry-naming", "page.js"]);
  const rollup = (entry, out) =>
    project.run("rollup", ["-p", "node-resolve={browser:true}", "-d", out, "--entryFileNames", "page.js", entry]);
  const rspack = (entry, out) =>
    project.run("rspack", [
      "build",
      "--mode",
      "production",
      "--entry",
      `./${entry}`,
      "--output-path",
      out,
      "-c",
      "rspack.config.mjs",
    ]);
  const parcel = (_, out) => project.run("parcel", ["build", "page.html", "--dist-dir", out, "--no-cache"]);
  return [
    { tool: "esbuild", build: esbuild, forms: [INLINE, URL_FORM] },
    { tool: "bun build", build: bun, forms: [INLINE, URL_FORM] },
    { tool: "rollup", build: rollup, forms: [INLINE, URL_FORM] },
    { tool: "@rspack/core", build: rspack, forms: [PLAIN] },
    { tool: "parcel", build: parcel, forms: [PLAIN] },
  ];
}

/** Bundlers that make one file of everything, and those that know files beside it. */
export async function run({ tarballs, check }) {
  const project = Project.install("bundlers", tarballs);
  writeFileSync(project.path("page.html"), PAGE);
  writeFileSync(project.path("rspack.config.mjs"), 'export default { output: { filename: "page.js" } };\n');
  const browser = await openBrowser();
  try {
    for (const { tool, build, forms } of pagesOf(project)) {
      for (const form of forms)
        await check(`${nameOf(project, tool)}, page, ${form}`, () => page(project, browser, build, form));
    }
  } finally {
    await browser.close();
  }
  await programs(project, check);
}

async function page(project, browser, build, form) {
  const out = project.path("dist-page");
  rmSync(out, { recursive: true, force: true });
  build(form, out);
  mkdirSync(join(out, "weights"), { recursive: true });
  // The URL form is served by whoever uses it.
  if (form === URL_FORM)
    cpSync(project.path("node_modules/@microlora/embed/weights"), join(out, "weights"), { recursive: true });
  if (!statSync(join(out, "page.html"), { throwIfNoEntry: false })) writeFileSync(join(out, "page.html"), PAGE);
  const server = await serve(out, { isSinglePage: false });
  return outcomeOf(browser, `${server.origin}/page.html`)
    .then((outcome) => faultOf(outcome))
    .finally(server.stop);
}

/** Programs in one file, run from a folder in which there is nothing else. */
async function programs(project, check) {
  const elsewhere = mkdtempSync(join(tmpdir(), "microlora-elsewhere-"));
  const bun = project.path(BUN);
  const alone = (file, ...program) => {
    const moved = join(elsewhere, basename(file));
    copyFileSync(file, moved);
    return faultOf(JSON.parse(project.run(program[0] ?? moved, program.length > 0 ? [moved] : [], { cwd: elsewhere })));
  };
  try {
    await check(`${nameOf(project, "esbuild")}, --platform=node, run alone`, () => {
      const out = project.path("dist/esbuild.mjs");
      project.run("esbuild", ["program.js", "--bundle", "--platform=node", "--format=esm", `--outfile=${out}`]);
      return alone(out, process.execPath);
    });
    await check(`${nameOf(project, "bun build")}, --target=bun, run alone`, () => {
      project.run(bun, ["build", "program.js", "--target=bun", "--outfile", "dist/bun.js"]);
      return alone(project.path("dist/bun.js"), bun);
    });
    await check(`${nameOf(project, "bun build")}, --target=node, run alone`, () => {
      project.run(bun, ["build", "program.js", "--target=node", "--outfile", "dist/bun-node.mjs"]);
      return alone(project.path("dist/bun-node.mjs"), process.execPath);
    });
    await check(`${nameOf(project, "bun build")}, --compile, run alone`, () => {
      project.run(bun, ["build", "program.js", "--compile", "--outfile", "dist/compiled"]);
      return alone(project.path("dist/compiled"));
    });
  } finally {
    rmSync(elsewhere, { recursive: true });
  }
}

function nameOf(project, tool) {
  return tool === "bun build"
    ? `bun build ${project.version("@oven/bun-linux-x64").split(" ")[1]}`
    : project.version(tool);
}
