import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { publint } from "publint";
import { formatMessage } from "publint/utils";

/**
 * What publint says of every package whose declarations for CommonJS (.d.cts) stand for ES modules. That is what `require` gives on
 * every Node that we name. A default import would be ambiguous, and we export no default.
 */
const EXPECTED = "EXPORTS_TYPES_INVALID_FORMAT";

/** Checks the package.json and the declarations in a tarball as bundlers and compilers read them. @throws if something is wrong */
export async function checkShape({ name, tarball }) {
  const { messages, pkg } = await publint({ pack: { tarball: readFileSync(tarball).buffer }, strict: true });
  const faults = messages.filter(({ code, path }) => !(code === EXPECTED && path.at(-1) === "require"));
  if (faults.length > 0) throw new Error(`${name}: ${faults.map((fault) => formatMessage(fault, pkg)).join("\n")}`);
  // The same two, by the names that this tool has for them.
  const expected = ["--ignore-rules", "cjs-resolves-to-esm", "false-cjs"];
  if (pkg.bin === undefined)
    execFileSync("npx", ["attw", tarball, "--format", "ascii", ...expected], { stdio: "inherit" });
}
