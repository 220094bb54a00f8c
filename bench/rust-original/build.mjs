/**
 * Builds the harness around the Rust original: `node bench/rust-original/build.mjs <folder of the crate> [--native]`.
 * The folder is taken relative to the current directory; `--native` compiles for this machine's CPU, into its own target folder.
 * Leaves `target/release/parity` and the contender `target/release/librust_original.so`, or the same below `target/native`.
 */
import { execFileSync } from "node:child_process";
import { existsSync, rmSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";

const [crate, flag] = process.argv.slice(2);
if (crate === undefined || !existsSync(join(crate, "Cargo.toml"))) {
  throw new Error(`no Cargo.toml in ${crate ?? "the folder that was not named"}`);
}
const here = import.meta.dirname;
const link = join(here, "original");
rmSync(link, { force: true });
symlinkSync(resolve(crate), link, "dir");
const native = flag === "--native";
execFileSync("cargo", ["build", "--release", "--quiet", "--target-dir", native ? join("target", "native") : "target"], {
  cwd: here,
  // The original has an unused import, which is not ours to mend.
  env: { ...process.env, RUSTFLAGS: `-A unused_imports${native ? " -C target-cpu=native" : ""}` },
  stdio: "inherit",
});
