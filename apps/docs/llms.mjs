// Writes llms.txt, the list of pages for language models, and llms-full.txt, which holds all documents.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DOCUMENTS, placeOf, ROOT, SECTIONS } from "./pages.mjs";
import { summaryOf, titleOf } from "./text.mjs";

/** @param out folder of the built site */
export function writeLlms(out) {
  const read = (document) => readFileSync(join(ROOT, document), "utf8");
  const entry = (document) =>
    `- [${titleOf(read(document))}](/${placeOf(document).replace(/\.md$/, ".html")}): ${summaryOf(read(document))}`;
  const sections = SECTIONS.map(({ text, documents }) => `## ${text}\n\n${documents.map(entry).join("\n")}`);
  const head = `# ${titleOf(read("README.md"))}\n\n> ${summaryOf(read("README.md"))}`;
  writeFileSync(join(out, "llms.txt"), `${[head, ...sections].join("\n\n")}\n`);
  writeFileSync(join(out, "llms-full.txt"), DOCUMENTS.map((path) => `<!-- ${path} -->\n\n${read(path)}`).join("\n\n"));
}
