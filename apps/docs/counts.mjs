// Counts what tests the packages, as a Markdown table. It counts declarations: a `test.each` over 500 files is one of them.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");
const TEST = /\.test\.(ts|mjs)$|\.test-support\.ts$/;
const number = new Intl.NumberFormat("en");

const files = execFileSync("git", ["ls-files"], { cwd: ROOT, encoding: "utf8" }).split("\n").filter(Boolean);
const textOf = (file) => readFileSync(join(ROOT, file), "utf8");
const linesOf = (list) => list.reduce((sum, file) => sum + textOf(file).split("\n").length, 0);
const matches = (list, pattern) => list.reduce((sum, file) => sum + [...textOf(file).matchAll(pattern)].length, 0);

/** @returns a Markdown table of counts */
export function countsTable() {
  const sources = files.filter((file) => /^packages\/[^/]+\/src\/.*\.ts$/.test(file) && !/\.generated\./.test(file));
  const tests = files.filter((file) => TEST.test(file) && /^(packages|examples|scripts|bench)\//.test(file));
  const code = sources.filter((file) => !TEST.test(file));
  const rows = [
    ["lines of code in the packages", linesOf(code)],
    ["lines of tests and their support", linesOf(tests)],
    ["files of tests", tests.filter((file) => /\.test\.(ts|mjs)$/.test(file)).length],
    ["declared tests", matches(tests, /^\s*(?:test|it|cases)(?:\.each)?\(/gm)],
    ["of these, over a table or folder (`test.each`)", matches(tests, /^\s*(?:test|it)\.each\(/gm)],
    ["properties on random inputs or call sequences (fast-check)", matches(tests, /\bfc\.assert\(/g)],
    [
      "files that another program made, or that were made to be refused",
      files.filter((file) => /\/(fixtures|goldens)\//.test(file)).length,
    ],
    ["of these, hostile files", files.filter((file) => /^packages\/formats\/attacks\/fixtures\//.test(file)).length],
    ["examples that run as tests", files.filter((file) => /^examples\/(?!.*\.test)[^/]+\.ts$/.test(file)).length],
    ["rows of platforms", files.filter((file) => /^platforms\/rows\//.test(file)).length],
  ];
  return [
    "| what | count |",
    "|---|---|",
    ...rows.map(([what, count]) => `| ${what} | ${number.format(count)} |`),
  ].join("\n");
}

if (process.argv[1] === import.meta.filename) console.log(countsTable());
