// Runs each integration against the real package: `node run.mjs [NAME …]`, all if none is named. Ends with 1 if one is wrong.
import { readFileSync } from "node:fs";
import * as databases from "./databases.mjs";
import * as frameworks from "./frameworks.mjs";
import * as hosted from "./hosted.mjs";

const CASES = {
  "ai-sdk": ["ai", hosted.aiSdk],
  langchain: ["@langchain/core", frameworks.langChainJs],
  llamaindex: ["@llamaindex/core", frameworks.llamaIndexTs],
  openai: ["openai", hosted.openAi],
  pgvector: ["@electric-sql/pglite-pgvector", databases.pgvector],
  lancedb: ["@lancedb/lancedb", databases.lance],
  usearch: ["usearch", databases.usearchLibrary],
  "sqlite-vec": ["sqlite-vec", databases.sqliteVector],
  orama: ["@orama/orama", databases.oramaSearch],
  minisearch: ["minisearch", databases.miniSearch],
  // Last, since it makes a page of this process.
  react: ["react", frameworks.react],
};

const versionOf = (name) =>
  JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url), "utf8")).version;
const names = process.argv.slice(2);
let wrong = 0;
for (const [name, [peer, run]] of Object.entries(CASES)) {
  if (names.length > 0 && !names.includes(name)) continue;
  try {
    const told = await run();
    console.log(`ok    ${name}: ${peer} ${versionOf(peer)}${told === undefined ? "" : `, ${told}`}`);
  } catch (error) {
    wrong++;
    console.log(`WRONG ${name}: ${error.stack}`);
  }
}
process.exit(wrong === 0 ? 0 : 1);
