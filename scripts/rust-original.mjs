import { execFileSync } from "node:child_process";
import { existsSync, rmSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";

/**
 * Builds a harness, a crate of ours that depends on `original`, around the Rust original.
 * @param {string} harness folder of the harness
 * @param {string | undefined} crate folder of the original, relative to the current directory
 * @param {boolean} native compiles for this machine's CPU, into `target/native`
 * @returns {string} folder of what was built
 */
export function buildAround(harness, crate, native = false) {
  if (crate === undefined || !existsSync(join(crate, "Cargo.toml"))) {
    throw new Error(`no Cargo.toml in ${crate ?? "the folder that was not named"}`);
  }
  const link = join(harness, "original");
  rmSync(link, { force: true });
  symlinkSync(resolve(crate), link, "dir");
  const target = native ? join("target", "native") : "target";
  execFileSync("cargo", ["build", "--release", "--quiet", "--target-dir", target], {
    cwd: harness,
    // The original has an unused import, which is not ours to mend.
    env: { ...process.env, RUSTFLAGS: `-A unused_imports${native ? " -C target-cpu=native" : ""}` },
    stdio: "inherit",
  });
  return join(harness, target, "release");
}
