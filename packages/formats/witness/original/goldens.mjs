// Files of the Rust original and what it reads in them: `npm run goldens -- crate` calls `node goldens.mjs <folder of the crate>`.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildAround } from "../../../../scripts/rust-original.mjs";

const [crate] = process.argv.slice(2);
const program = join(buildAround(import.meta.dirname, crate), "witness");
const folder = join(import.meta.dirname, "..", "..", "src", "bincode", "fixtures");
const hashOf = (path) => createHash("sha256").update(readFileSync(path)).digest("hex");

const sha256 = {};
for (const name of ["attention", "every-module", "wide", "untrained"]) {
  const file = join(folder, `${name}.bin`);
  execFileSync(program, ["write", name, file]);
  writeFileSync(join(folder, `${name}.txt`), execFileSync(program, ["read", file]));
  for (const path of [`${name}.bin`, `${name}.txt`]) sha256[path] = hashOf(join(folder, path));
}
const source = hashOf(join(crate, "src", "micro_lora.rs"));
const rustc = execFileSync("rustc", ["--version"], { encoding: "utf8" }).trim();
const madeBy = { command: "npm run goldens", versions: { source, rustc, bincode: "2.0.1" }, sha256 };
writeFileSync(join(folder, "made-by.json"), `${JSON.stringify(madeBy, null, 2)}\n`);
