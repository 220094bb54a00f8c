#!/usr/bin/env node
import { existsSync, readFileSync } from "node:fs";
import { relative } from "node:path";
import { createInterface } from "node:readline/promises";
import { parseArgs } from "node:util";
import { CreateError, create, TEMPLATES } from "./create.js";

const USAGE = `npm create microlora [folder] -- [--template NAME]

${Object.entries(TEMPLATES)
  .map(([name, what]) => `  ${name.padEnd(12)}${what}`)
  .join("\n")}`;

async function ask(question: string, otherwise: string): Promise<string> {
  if (!process.stdin.isTTY) return otherwise;
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(`${question} (${otherwise}): `);
  terminal.close();
  return answer.trim() || otherwise;
}

try {
  const { values, positionals } = parseArgs({
    options: {
      template: { type: "string", short: "t" },
      help: { type: "boolean", short: "h" },
      version: { type: "boolean" },
    },
    allowPositionals: true,
  });
  if (values.help === true) console.log(USAGE);
  else if (values.version === true) {
    const manifest = readFileSync(new URL("../package.json", import.meta.url), "utf8");
    console.log((JSON.parse(manifest) as { readonly version: string }).version);
  } else {
    const folder = positionals[0] ?? (await ask("Folder", "search-that-learns"));
    const template = values.template ?? (await ask(`Template: ${Object.keys(TEMPLATES).join(", ")}`, "vite"));
    const path = create(folder, template);
    const shown = relative(process.cwd(), path) || ".";
    console.log(
      `Made ${shown}. Next:\n\n  cd ${shown}\n  npm install\n  npm ${existsSync(`${path}/server.js`) ? "start" : "run dev"}`,
    );
  }
} catch (error) {
  const isUsage = error instanceof TypeError && "code" in error && String(error.code).startsWith("ERR_PARSE_ARGS");
  if (!isUsage && !(error instanceof CreateError)) throw error;
  console.error(`${(error as Error).message}\n\n${USAGE}`);
  process.exitCode = 2;
}
