// Which room may import from which: data flows down, an arrow never points up.
const core = "^packages/microlora/src/";
const rooms = ["base", "kernels", "adapter", "learn", "checkpoint"];
const tests = "\\.test(-support)?\\.ts$";

const downwards = rooms.map((room, i) => ({
  name: `${room}-imports-upwards`,
  severity: "error",
  from: { path: `${core}${room}/`, pathNot: tests },
  to: { path: core, pathNot: `${core}(${rooms.slice(0, i + 1).join("|")})/` },
}));

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    ...downwards,
    { name: "no-cycles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "core-has-no-dependencies",
      severity: "error",
      from: { path: core, pathNot: tests },
      to: { pathNot: [core, "^node:", "^(fs|path|crypto|url)(/|$)"] },
    },
    {
      name: "node-builtins-in-node-entries-only",
      severity: "error",
      from: { path: "^packages/(microlora|embed)/src/", pathNot: ["/node\\.ts$", tests] },
      to: { dependencyTypes: ["core"] },
    },
    {
      name: "index-is-for-callers",
      comment: "Inside a package, import the file that has the thing.",
      severity: "error",
      from: { path: "^packages/[^/]+/src/", pathNot: tests },
      to: { path: "^packages/[^/]+/src/index\\.ts$" },
    },
    {
      name: "embed-knows-no-core",
      severity: "error",
      from: { path: "^packages/embed/src/" },
      to: { path: "^packages/(microlora|cli)/" },
    },
    {
      name: "nothing-imports-the-command",
      severity: "error",
      from: { pathNot: "^packages/cli/" },
      to: { path: "^packages/cli/" },
    },
    {
      name: "examples-use-what-is-published",
      severity: "error",
      from: { path: "^examples/" },
      to: { path: "^packages/[^/]+/src/" },
    },
    { name: "resolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    doNotFollow: { path: ["node_modules", "/dist/"] },
    exclude: { path: ["/dist/", "/assembly/", "/distil/"] },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.check.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["types", "import", "default"] },
  },
};
