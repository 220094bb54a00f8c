import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { buildClean, manifestOf, PACKAGES, packInto } from "../../scripts/pack.mjs";
import { WORK } from "./work.mjs";

const FOLDER = join(WORK, "packed");

/** Builds and packs the packages as npm would publish them. @returns paths of the tarballs by the names of the packages */
export function pack() {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  buildClean();
  return Object.fromEntries(packInto(FOLDER).map(({ name, tarball }) => [name, tarball]));
}

/** What `pack` made last. */
export function packed() {
  const files = readdirSync(FOLDER);
  return Object.fromEntries(
    PACKAGES.map((folder) => {
      const { name, version } = manifestOf(folder);
      const file = `${name.replace("@", "").replace("/", "-")}-${version}.tgz`;
      if (!files.includes(file)) throw new Error(`there is no ${file}: run without --no-pack`);
      return [name, join(FOLDER, file)];
    }),
  );
}
