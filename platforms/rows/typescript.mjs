import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Project } from "../lib/project.mjs";

const RIGHT = JSON.stringify({
  first: "an orange phone case",
  refused: true,
  isSame: true,
  functions: ["function", "function", "function", "object"],
});

/** Compilers and settings; a package of CommonJS, whose imports become `require`, or of ES modules. */
const SETTINGS = [
  // Typed arrays are generic from TypeScript 5.7 on, in our declarations and in those of our dependencies.
  {
    compiler: "typescript-5.4",
    type: "commonjs",
    module: "commonjs",
    moduleResolution: "node10",
    flags: ["--skipLibCheck"],
  },
  {
    compiler: "typescript-5.4",
    type: "commonjs",
    module: "node16",
    moduleResolution: "node16",
    flags: ["--skipLibCheck"],
  },
  { compiler: "typescript-5.7", type: "commonjs", module: "commonjs", moduleResolution: "node10" },
  { compiler: "typescript-5.7", type: "commonjs", module: "node16", moduleResolution: "node16" },
  { compiler: "typescript-5.9", type: "commonjs", module: "commonjs", moduleResolution: "node10" },
  { compiler: "typescript-5.9", type: "commonjs", module: "node16", moduleResolution: "node16" },
  { compiler: "typescript-5.9", type: "commonjs", module: "nodenext", moduleResolution: "nodenext" },
  { compiler: "typescript-5.9", type: "module", module: "nodenext", moduleResolution: "nodenext" },
  { compiler: "typescript-6", type: "commonjs", module: "nodenext", moduleResolution: "nodenext" },
  { compiler: "typescript-6", type: "module", module: "nodenext", moduleResolution: "nodenext" },
  { compiler: "typescript-7", type: "commonjs", module: "node16", moduleResolution: "node16" },
  { compiler: "typescript-7", type: "commonjs", module: "nodenext", moduleResolution: "nodenext" },
  { compiler: "typescript-7", type: "module", module: "nodenext", moduleResolution: "nodenext" },
];

/** TypeScript from CommonJS and from ES modules, strict and with the declarations checked; what it makes runs. */
export async function run({ tarballs, check }) {
  const project = Project.install("typescript", tarballs);
  for (const { compiler, type, module, moduleResolution, flags = [] } of SETTINGS) {
    const [, version] = project.version(compiler).split(" ");
    const settings = [`"type": "${type}"`, `module ${module}`, `moduleResolution ${moduleResolution}`, ...flags];
    const name = `typescript ${version}, ${settings.join(", ")}`;
    await check(name, () => {
      // In a folder of its own, whose package.json says what the files are.
      const folder = project.path("program");
      rmSync(folder, { recursive: true, force: true });
      mkdirSync(folder);
      writeFileSync(join(folder, "package.json"), JSON.stringify({ type }));
      project.copy("program.ts", join(folder, "program.ts"));
      const options = [
        ...flags,
        "--strict",
        "--target",
        "es2022",
        "--lib",
        "es2022,dom",
        "--types",
        "node",
        "--outDir",
        "out",
      ];
      const bin = project.path("node_modules", compiler, "bin/tsc");
      project.run(
        process.execPath,
        [bin, ...options, "--module", module, "--moduleResolution", moduleResolution, "program.ts"],
        {
          cwd: folder,
        },
      );
      writeFileSync(join(folder, "out/package.json"), JSON.stringify({ type }));
      const printed = project.run(process.execPath, [join(folder, "out/program.js")]).trim();
      return printed === RIGHT ? undefined : printed;
    });
  }
}
