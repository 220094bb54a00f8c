// Builds the site into dist/site: content from the repository's documents, the reference from the built packages, then VitePress.
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "vitepress";
import { writeLlms } from "./llms.mjs";
import { ROOT } from "./pages.mjs";
import { writeReference } from "./reference.mjs";
import { stage } from "./stage.mjs";

const CONTENT = join(import.meta.dirname, "dist/content");
const SITE = join(import.meta.dirname, "dist/site");

rmSync(CONTENT, { recursive: true, force: true });
rmSync(SITE, { recursive: true, force: true });
stage(CONTENT);
await writeReference(ROOT, join(CONTENT, "reference"));
mkdirSync(join(CONTENT, ".vitepress/theme"), { recursive: true });
writeFileSync(join(CONTENT, ".vitepress/config.mjs"), 'export { default } from "../../../vitepress.mjs";\n');
writeFileSync(join(CONTENT, ".vitepress/theme/index.mjs"), 'export { default } from "../../../../theme/index.mjs";\n');
await build(CONTENT);
writeLlms(SITE);
