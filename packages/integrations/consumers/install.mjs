// Packs the packages as npm would publish them, and installs them here, so that they and their peers share one copy of each package.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packInto } from "../../../scripts/pack.mjs";

const WANTED = ["microlora", "embed", "store", "search", "integrations"];

const folder = mkdtempSync(join(tmpdir(), "microlora-integrations-"));
try {
  const tarballs = packInto(folder).filter((each) => WANTED.includes(each.folder));
  const args = ["install", "--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"];
  execFileSync("npm", [...args, ...tarballs.map(({ tarball }) => tarball)], {
    cwd: import.meta.dirname,
    stdio: "inherit",
  });
} finally {
  rmSync(folder, { recursive: true });
}
