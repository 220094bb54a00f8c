// Runs the packed packages in the tools and engines that the README names: `node platforms/run.mjs [--no-pack] [row …]`, all rows if none
// is named. Prints a line for each thing that was tried, and ends with 1 if one was wrong.
import { readdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { pack, packed } from "./lib/pack.mjs";

const { values, positionals } = parseArgs({ options: { "no-pack": { type: "boolean" } }, allowPositionals: true });
const rows = readdirSync(new URL("rows", import.meta.url)).map((file) => file.replace(/\.mjs$/, ""));
const unknown = positionals.filter((name) => !rows.includes(name));
if (unknown.length > 0) {
  console.error(`There is no row ${unknown.join(", ")}; there are ${rows.join(", ")}`);
  process.exit(2);
}

/** An error of a row, or of a program that it ran, with what that printed at its end. */
function describe(error) {
  const printed = [error.stdout, error.stderr].filter((text) => typeof text === "string" && text !== "");
  return [String(error.stack ?? error).slice(0, 2000), ...printed.map((text) => text.slice(-2000))].join("\n");
}

const tarballs = values["no-pack"] ? packed() : pack();
let wrong = 0;
let right = 0;
for (const name of positionals.length > 0 ? positionals : rows) {
  const start = performance.now();
  console.log(`\n${name}`);
  // What throws is wrong as well, and does not keep the rest of the row from being tried.
  const check = async (what, faultOf) => {
    const fault = await (async () => faultOf())().catch(describe);
    if (fault === undefined) right++;
    else wrong++;
    console.log(`  ${fault === undefined ? "ok   " : "WRONG"} ${what}${fault === undefined ? "" : `: ${fault}`}`);
  };
  const tell = (what) => console.log(`  told  ${what}`);
  const { run } = await import(`./rows/${name}.mjs`);
  await check("the row ran to its end", () => run({ tarballs, check, tell }));
  console.log(`  ${Math.round((performance.now() - start) / 1000)} s`);
}
console.log(`\n${right} passed, ${wrong} failed`);
process.exit(wrong === 0 ? 0 : 1);
