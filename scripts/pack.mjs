import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "..");

/** Folders of the packages that are published, each after those that it depends on. */
export const PACKAGES = [
  "microlora",
  "formats",
  "embed",
  "onnx",
  "chat",
  "store",
  "server",
  "search",
  "integrations",
  "create-microlora",
  "evaluate",
  "cli",
];

/** The package.json of a package. */
export function manifestOf(folder) {
  return JSON.parse(readFileSync(join(ROOT, "packages", folder, "package.json"), "utf8"));
}

/** Builds all packages from nothing, so that no file of an older source is left in them. */
export function buildClean() {
  for (const folder of PACKAGES) rmSync(join(ROOT, "packages", folder, "dist"), { recursive: true, force: true });
  // The compiler's own notes lie elsewhere, and would have it leave out what has not changed.
  execFileSync("npx", ["tsc", "-b", "--clean"], { cwd: ROOT, stdio: "inherit" });
  execFileSync("npm", ["run", "--silent", "build"], { cwd: ROOT, stdio: "inherit" });
}

/**
 * Packs the packages as npm would publish them.
 * @param to an empty folder
 * @returns for each, its folder, name, tarball, and sizes in bytes
 */
export function packInto(to) {
  return PACKAGES.map((folder) => {
    const args = ["pack", "--json", "--pack-destination", to, "-w", `packages/${folder}`];
    const printed = execFileSync("npm", args, { cwd: ROOT, encoding: "utf8" });
    const [{ name, version, filename, size, unpackedSize }] = Object.values(JSON.parse(printed));
    return { folder, name, version, tarball: join(to, filename), size, unpackedSize };
  });
}
