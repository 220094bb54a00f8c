// Packs every package as npm would publish it, and checks the shape, the types and the size of what comes out, and that the
// snippets of the documents compile against it.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { checkConsumer } from "./consumer.mjs";

// Why 20 KB: a web page pays this before its first request is personalised; both WebAssembly builds are inlined in it.
const CORE_LIMIT_BYTES = 20 * 1024;

const folder = mkdtempSync(join(tmpdir(), "microlora-pack-"));
const tarballs = {};
const run = (command, ...args) => execFileSync(command, args, { stdio: "inherit" });
try {
  for (const name of ["microlora", "formats", "embed", "onnx", "cli"]) {
    const packed = execFileSync("npm", ["pack", "--json", "--pack-destination", folder, "-w", `packages/${name}`]);
    const [{ name: packageName, filename, size, unpackedSize }] = Object.values(JSON.parse(packed));
    console.log(`${name}: ${size} bytes packed, ${unpackedSize} unpacked`);
    tarballs[packageName] = join(folder, filename);
    run("npx", "publint", "run", "--strict", join(folder, filename));
    if (name !== "cli") run("npx", "attw", join(folder, filename), "--profile", "esm-only");
  }
  mkdirSync(join(folder, "consumer"));
  checkConsumer(join(folder, "consumer"), tarballs);
} finally {
  rmSync(folder, { recursive: true });
}

const bundle = await build({
  stdin: { contents: 'export { MicroLora } from "microlora";', resolveDir: "." },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  write: false,
});
const bytes = gzipSync(bundle.outputFiles[0].contents, { level: 9 }).length;
console.log(`import { MicroLora }: ${bytes} bytes gzipped, limit ${CORE_LIMIT_BYTES}`);
if (bytes > CORE_LIMIT_BYTES) process.exitCode = 1;

// What the README promises of names, seen from the repository's root.
for (const name of [
  "microlora",
  "microlora/node",
  "microlora/parts",
  "@microlora/formats",
  "@microlora/formats/node",
  "@microlora/embed",
])
  await import(name);
const { version } = JSON.parse(readFileSync("packages/microlora/package.json", "utf8"));
console.log(`microlora ${version}: all entry points load`);
