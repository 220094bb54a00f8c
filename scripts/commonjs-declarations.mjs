// Writes a .d.cts beside each .d.ts of the packages' entry points, so that TypeScript lets CommonJS code `require` what Node lets it require.
// The code itself is there once, as ES modules.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { manifestOf, PACKAGES } from "./pack.mjs";

for (const name of PACKAGES.filter(isRequired)) {
  const dist = join("packages", name, "dist");
  for (const file of readdirSync(dist, { recursive: true })) {
    const path = join(dist, file);
    if (file.endsWith(".d.ts")) writeFileSync(path.replace(/ts$/, "cts"), commonJs(readFileSync(path, "utf8")));
    else if (file.endsWith(".d.cts") && !existsSync(path.replace(/cts$/, "ts"))) rmSync(path);
  }
}

/** Whether the exports of a package name declarations for CommonJS. */
function isRequired(name) {
  return JSON.stringify(manifestOf(name).exports ?? {}).includes(".d.cts");
}

/** Declarations with the files that they refer to by their other names, and without the map to the sources. */
function commonJs(declarations) {
  return declarations
    .replace(/((?:from|import) ?\(?"\.{1,2}\/[^"]*)\.js"/g, '$1.cjs"')
    .replace(/^\/\/# sourceMappingURL=.*$/m, "");
}
