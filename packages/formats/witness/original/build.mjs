// Builds the witness around the Rust original: `node build.mjs <folder of the crate>`; with `--goldens`, also writes its
// files and what it reads in them into the fixtures.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const [crate, flag] = process.argv.slice(2);
if (crate === undefined || !existsSync(join(crate, "Cargo.toml"))) {
  throw new Error(`no Cargo.toml in ${crate ?? "the folder that was not named"}`);
}
const here = import.meta.dirname;
const link = join(here, "original");
rmSync(link, { force: true });
symlinkSync(resolve(crate), link, "dir");
execFileSync("cargo", ["build", "--release", "--quiet"], {
  cwd: here,
  // The original has an unused import, which is not ours to mend.
  env: { ...process.env, RUSTFLAGS: "-A unused_imports" },
  stdio: "inherit",
});

if (flag === "--goldens") {
  const program = join(here, "target", "release", "witness");
  const folder = join(here, "..", "..", "src", "bincode", "fixtures");
  mkdirSync(folder, { recursive: true });
  const sha256 = {};
  for (const name of ["attention", "every-module", "wide", "untrained"]) {
    const file = join(folder, `${name}.bin`);
    execFileSync(program, ["write", name, file]);
    writeFileSync(join(folder, `${name}.txt`), execFileSync(program, ["read", file]));
    for (const path of [`${name}.bin`, `${name}.txt`]) {
      sha256[path] = createHash("sha256")
        .update(readFileSync(join(folder, path)))
        .digest("hex");
    }
  }
  const source = createHash("sha256")
    .update(readFileSync(join(crate, "src", "micro_lora.rs")))
    .digest("hex");
  const rustc = execFileSync("rustc", ["--version"], { encoding: "utf8" }).trim();
  const madeBy = { command: "npm run goldens", versions: { source, rustc, bincode: "2.0.1" }, sha256 };
  writeFileSync(join(folder, "made-by.json"), `${JSON.stringify(madeBy, null, 2)}\n`);
}
