/**
 * Holds the states that scripts/determinism/events.mjs leaves against each other on Node 20, 22 and 24, as they are and with V8 told that
 * the CPU lacks FMA and AVX, and in Chromium where it is installed; writes docs/results/determinism.md. Needs a build and npm's registry.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { arch, cpus, platform, tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";

const HASH = "scripts/determinism/hash.mjs";
const CPUS = {
  "all of the CPU": [],
  "no FMA": ["--no-enable-fma3"],
  "no AVX2, no FMA": ["--no-enable-avx2", "--no-enable-fma3"],
  "no AVX, no FMA": ["--no-enable-avx", "--no-enable-avx2", "--no-enable-fma3"],
};

/** The page that does what hash.mjs does. */
const PAGE = `(async () => {
  const core = await import("./packages/microlora/dist/index.js");
  const { play } = await import("./scripts/determinism/events.mjs");
  const files = await play(core);
  let text = "";
  for (const bytes of files) for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  document.body.textContent = "STATES:" + text + ":END";
})();`;

const scratch = mkdtempSync(join(tmpdir(), "determinism-"));
const rows = [];
try {
  for (const major of [20, 22, 24]) {
    const engine = nodeOf(major);
    const version = execFileSync(engine, ["--version"], { encoding: "utf8" }).trim();
    for (const [cpu, flags] of Object.entries(CPUS)) {
      rows.push([`Node ${version}`, cpu, execFileSync(engine, [...flags, HASH], { encoding: "utf8" }).trim()]);
    }
  }
  const chromium = process.env.CHROMIUM ?? "chromium";
  const version = versionOf(chromium);
  if (version === null) console.log("No Chromium here: set CHROMIUM to its path.");
  else rows.push([version, "all of the CPU", await hashIn(chromium)]);
} finally {
  rmSync(scratch, { recursive: true });
}

const wanted = JSON.parse(readFileSync("scripts/determinism/golden.json", "utf8")).sha256;
for (const row of rows) console.log(row.join("  "));
writeFileSync("docs/results/determinism.md", reportOf(rows));
if (rows.some(([, , hash]) => hash !== wanted)) {
  console.error(`Not all are ${wanted}, which scripts/determinism/golden.json says.`);
  process.exitCode = 1;
}

/** A Node of a major version: this one, or npm's package of it. */
function nodeOf(major) {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath;
  const name = `node-${platform()}-${arch()}`;
  execFileSync("npm", [
    "install",
    "--silent",
    "--no-audit",
    "--no-fund",
    "--prefix",
    join(scratch, `${major}`),
    `${name}@${major}`,
  ]);
  return join(scratch, `${major}`, "node_modules", name, "bin", "node");
}

function versionOf(chromium) {
  try {
    return execFileSync(chromium, ["--version"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
  } catch {
    return null;
  }
}

async function hashIn(chromium) {
  const { outputFiles } = await build({
    stdin: { contents: PAGE, resolveDir: "." },
    bundle: true,
    format: "iife",
    write: false,
  });
  const page = join(scratch, "page.html");
  writeFileSync(
    page,
    `<!doctype html><meta charset="utf-8"><body><script>${outputFiles[0].text.replaceAll("</script", "<\\/script")}</script>`,
  );
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=60000", "--dump-dom"];
  const options = { encoding: "utf8", maxBuffer: 2 ** 28, stdio: ["ignore", "pipe", "ignore"] };
  const dom = execFileSync(chromium, [...flags, `file://${page}`], options);
  const states = /STATES:([0-9a-f]+):END/.exec(dom);
  return states === null ? "no states" : createHash("sha256").update(Buffer.from(states[1], "hex")).digest("hex");
}

function reportOf(measured) {
  const lines = measured.map(([engine, cpu, hash]) => `| ${engine} | ${cpu} | \`${hash.slice(0, 16)}\` |`);
  return `# The same bits everywhere

The first digits of the SHA-256 of the states that 1,200 events leave with \`kernels: "simd"\`: four MicroLoras under the optimisers and EWC
methods, a Learner with guard and replay, and a Personalizer over an index. The whole hash is in \`scripts/determinism/golden.json\`.

Written by \`node scripts/determinism/run.mjs\` on ${cpus()[0].model.trim()}.

| engine | CPU that V8 may use | SHA-256 |
|---|---|---|
${lines.join("\n")}
`;
}
