import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** A page that imports every entry point that browsers have. */
const PAGE = [
  "microlora",
  "microlora/parts",
  "@microlora/formats",
  "@microlora/embed",
  "@microlora/onnx",
  "@microlora/onnx/graph",
]
  .map((name) => `import "${name}";\n`)
  .join("");

const STRICT = ["--strict", "--noEmit", "--target", "es2022", "--lib", "es2022,dom", "--module"];

/**
 * Installs packed packages into a project of their own, and compiles a page against them, strictly, with the types of what they
 * depend on and without Node's types.
 * @param folder an empty one; @param tarballs paths by the names of the packages
 */
export function checkConsumer(folder, tarballs) {
  const modules = join(folder, "node_modules");
  mkdirSync(join(modules, "@microlora"), { recursive: true });
  for (const [name, path] of Object.entries(tarballs)) {
    mkdirSync(join(modules, name), { recursive: true });
    execFileSync("tar", ["-xzf", path, "-C", join(modules, name), "--strip-components=1"]);
  }
  const own = new Set(["@microlora", ...Object.keys(tarballs)]);
  for (const name of readdirSync("node_modules").filter((each) => !each.startsWith(".") && !own.has(each))) {
    symlinkSync(resolve("node_modules", name), join(modules, name));
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(join(folder, "page.ts"), PAGE);
  const tsc = resolve("node_modules/.bin/tsc");
  const compile = (...args) => execFileSync(tsc, [...STRICT, ...args], { cwd: folder, stdio: "inherit" });
  compile("esnext", "--moduleResolution", "bundler", "--types", "", "page.ts");
  console.log("a strict page compiles");
}
