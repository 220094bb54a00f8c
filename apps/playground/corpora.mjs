// Writes the corpora that the page searches, public/corpora/*.json, from packages: lists of [id, title, picture].
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(import.meta.url);
const folder = join(import.meta.dirname, "public/corpora");
mkdirSync(folder, { recursive: true });

const emoji = Object.entries(require("unicode-emoji-json/data-by-emoji.json")).map(([character, { name }]) => [
  character,
  name,
  character,
]);
// An icon's picture: its elements, as [tag, attributes].
const icons = Object.entries(require("lucide-static/icon-nodes.json")).map(([name, nodes]) => [
  name,
  name.replaceAll("-", " "),
  nodes,
]);
for (const [name, documents] of Object.entries({ emoji, icons }))
  writeFileSync(join(folder, `${name}.json`), JSON.stringify(documents));
