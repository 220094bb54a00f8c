import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { faultOf } from "../lib/checks.mjs";
import { Project } from "../lib/project.mjs";

const ROOT = resolve(import.meta.dirname, "../..");
const DOCUMENTS = [
  "README.md",
  ...["microlora", "formats", "embed", "onnx"].map((name) => `packages/${name}/README.md`),
];
const FILES = JSON.stringify({ isLoaded: true, isTyped: true, isConverted: true, isOpenModel: true });

/** One program, unchanged, in Node 20, 22 and 24, in Deno and in Bun. */
export async function run({ tarballs, check, tell }) {
  const project = Project.install("runtimes", tarballs);
  const nodes = ["node-20", "node-22", "node-24"];
  const runtimes = [
    ...nodes.map((name) => ({ name, program: `node_modules/${name}/bin/node`, args: [] })),
    { name: "@deno/linux-x64-glibc", program: "node_modules/@deno/linux-x64-glibc/deno", args: ["run", "--allow-all"] },
    { name: "@oven/bun-linux-x64", program: "node_modules/@oven/bun-linux-x64/bin/bun", args: ["run"] },
  ];
  for (const { name, program, args } of runtimes) {
    let told;
    const ask = () => {
      told ??= JSON.parse(project.run(project.path(program), [...args, "program.mjs"]));
      return told;
    };
    await check(`${project.version(name)}, a search that learns`, () => faultOf(ask().search));
    await check(`${project.version(name)}, saving, loading, converting`, () => {
      const files = JSON.stringify(ask().files);
      return files === FILES ? undefined : files;
    });
  }
  for (const name of nodes)
    await check(`${project.version(name)}, snippets of the documents parse as .mjs`, () => snippets(project, name));
  tell(
    "Electron: its binary comes from a host that is not a registry, so it is not tried here; its main process is Node",
  );
}

/** Parses each `ts` block of the documents as a plain .mjs file: what a reader pastes. */
function snippets(project, node) {
  for (const document of DOCUMENTS) {
    const blocks = readFileSync(join(ROOT, document), "utf8").matchAll(/^```ts\n(.*?)^```/gms);
    for (const [i, [, code]] of [...blocks].entries()) {
      const file = project.path("snippet.mjs");
      writeFileSync(file, code);
      try {
        project.run(project.path(`node_modules/${node}/bin/node`), ["--check", file]);
      } catch (error) {
        return `${document}, block ${i + 1}: ${error.stderr.trim().split("\n").slice(1, 5).join(" / ")}`;
      }
    }
  }
  return undefined;
}
