import { execFile, execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRegistry } from "./registry.mjs";

/**
 * Installs each package by its name into an empty project, as its users will, and loads its entry points or runs its command.
 * @throws if one does not install or load
 */
export async function checkEachAlone(packed) {
  const upstream = execFileSync("npm", ["config", "get", "registry"], { encoding: "utf8" }).trim();
  const registry = await startRegistry(packed, upstream.endsWith("/") ? upstream : `${upstream}/`);
  const folder = mkdtempSync(join(tmpdir(), "microlora-alone-"));
  try {
    // Not at once with `execFileSync`, which would keep the registry from answering.
    for (const { name, manifest } of packed) {
      const project = mkdtempSync(join(folder, "project-"));
      writeFileSync(join(project, "package.json"), '{ "private": true, "type": "module" }\n');
      await run(
        "npm",
        [
          "install",
          name,
          "--registry",
          registry.address,
          "--ignore-scripts",
          "--no-audit",
          "--no-fund",
          "--loglevel=error",
        ],
        project,
      );
      const printed = await use(manifest, project);
      console.log(`${name} installs alone${printed === "" ? "" : `: ${printed}`}`);
    }
  } finally {
    registry.stop();
    rmSync(folder, { recursive: true });
  }
}

/** Loads every entry point that is code, by `import` and by `require`, or runs the command. @returns what was printed */
async function use({ name, bin, exports, peerDependencies = {} }, project) {
  if (bin !== undefined) {
    const [command] = Object.keys(bin);
    return `${command} ${await run(join("node_modules/.bin", command), ["--version"], project)}`;
  }
  const entries = Object.entries(exports).filter(([, target]) => typeof target === "object");
  const names = entries.map(([path]) => name + path.slice(1));
  // An entry point for a tool may import that tool, which its users have.
  const peers = JSON.stringify(Object.keys(peerDependencies).map((peer) => `'${peer}'`));
  const isPeer = `(error) => { if (!${peers}.some((peer) => error.message.includes(peer))) throw error; }`;
  const load = `import(name).then(() => createRequire(import.meta.url)(name), ${isPeer})`;
  const code = `for (const name of ${JSON.stringify(names)}) await ${load};`;
  writeFileSync(
    join(project, "use.js"),
    `import { createRequire } from "node:module";\n${code}\nconsole.log("${names.join(", ")} load");\n`,
  );
  return run(process.execPath, ["use.js"], project);
}

function run(program, args, cwd) {
  return new Promise((resolve, reject) => {
    execFile(program, args, { cwd, encoding: "utf8" }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout.trim());
      else reject(new Error(`${program} ${args.join(" ")}: ${stderr || error.message}`));
    });
  });
}
