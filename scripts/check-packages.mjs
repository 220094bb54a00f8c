// Packs every package as npm would publish it, and checks the shape, the types and the size of what comes out.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkConsumer } from "./consumer.mjs";
import { buildClean, packInto } from "./pack.mjs";
import { checkShape } from "./shape.mjs";
import { checkSizes } from "./sizes.mjs";

const folder = mkdtempSync(join(tmpdir(), "microlora-pack-"));
try {
  buildClean();
  const packed = packInto(folder);
  for (const each of packed) {
    console.log(`${each.folder}: ${each.size} bytes packed, ${each.unpackedSize} unpacked`);
    await checkShape(each);
  }
  mkdirSync(join(folder, "consumer"));
  checkConsumer(join(folder, "consumer"), Object.fromEntries(packed.map(({ name, tarball }) => [name, tarball])));
} finally {
  rmSync(folder, { recursive: true });
}

if (!(await checkSizes())) process.exitCode = 1;

// What the README promises of names, seen from the repository's root.
for (const name of [
  "microlora",
  "microlora/node",
  "microlora/parts",
  "@microlora/formats",
  "@microlora/formats/node",
  "@microlora/embed",
  "@microlora/embed/inline",
  "@microlora/embed/inline-128",
  "@microlora/onnx",
  "@microlora/onnx/node",
  "@microlora/onnx/graph",
  "@microlora/chat",
  "@microlora/chat/node",
  "@microlora/store",
  "@microlora/store/sqlite",
  "@microlora/store/indexeddb",
  "@microlora/store/postgres",
  "@microlora/server",
  "@microlora/search",
  "@microlora/evaluate",
  "@microlora/integrations/onnx",
  "@microlora/integrations/openai",
  "@microlora/integrations/pgvector",
])
  await import(name);
const { version } = JSON.parse(readFileSync("packages/microlora/package.json", "utf8"));
console.log(`microlora ${version}: all entry points load`);
