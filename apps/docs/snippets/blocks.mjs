// Finds the programs of the documents: every block of `ts`, `tsx` or `mjs` in a Markdown file of the repository.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "../../..");

/** API reports list declarations, which are no programs. */
const NO_PROGRAMS = /^docs\/api\//;

const FENCE = /^```(ts|tsx|mjs)\b([^\n]*)\n(.*?)^```\n(?:\n```console\n(.*?)^```)?/gms;

/** Every Markdown file that Git knows or would take. */
export function documents() {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard", "*.md"];
  const files = execFileSync("git", args, { cwd: ROOT, encoding: "utf8" }).split("\n").filter(Boolean);
  return [...new Set(files)].filter((file) => !NO_PROGRAMS.test(file) && existsSync(join(ROOT, file))).sort();
}

/**
 * The programs of a document, each with the line of its fence.
 *
 * The words behind a fence say what else is known of a program: `compile-only REASON` if it needs what is not here, such as a browser.
 * A block of `console` right below a program is what it prints.
 */
export function blocksOf(document) {
  const text = readFileSync(join(ROOT, document), "utf8");
  return [...text.matchAll(FENCE)].map(([, language, info, code, prints], i) => {
    const [, reason] = /^\s+compile-only\s+(.+)$/.exec(info) ?? [];
    if (info.trim() !== "" && reason === undefined)
      throw new Error(`${document}: what does \`${language}${info}\` mean?`);
    const line = text.slice(0, text.indexOf(code)).split("\n").length;
    const name = `${document.replaceAll("/", "-").replace(/\.md$/, "")}-${i + 1}`;
    return { document, line, name, language, code, prints, compileOnly: reason };
  });
}
