import { Project } from "../lib/project.mjs";

/** `require` in Node, and tests of Jest, which has a `require` of its own. */
export async function run({ tarballs, check, tell }) {
  const project = Project.install("jest", tarballs);
  const jest = project.path("node_modules/jest/bin/jest.js");
  const nodes = {
    [process.version]: process.execPath,
    [project.version("node-22").split(" ")[1]]: project.path("node_modules/node-22/bin/node"),
    [project.version("node-24").split(" ")[1]]: project.path("node_modules/node-24/bin/node"),
  };
  for (const [version, node] of Object.entries(nodes)) {
    await check(`Node ${version}, require of each entry point`, () => {
      const printed = project.run(node, ["required.cjs"]).trim();
      return printed === "required" ? undefined : printed;
    });
    const file = "search-by-import.test.mjs";
    const flags = ["--experimental-vm-modules", jest, "--ci", "--testMatch", `**/${file}`];
    await check(
      `Node ${version}, ${project.version("jest")}, tests as ES modules`,
      () => void project.run(node, flags),
    );
  }
  const node = project.path("node_modules/node-24/bin/node");
  await check(`Node ${project.version("node-24").split(" ")[1]}, ${project.version("jest")}, tests in CommonJS`, () => {
    project.run(node, ["--experimental-vm-modules", jest, "--ci", "--testMatch", "**/search.test.js"]);
  });
  tell(
    "Jest's own require takes ES modules from Jest 30 and Node 24.9 on, with node --experimental-vm-modules; elsewhere tests import them",
  );
}
