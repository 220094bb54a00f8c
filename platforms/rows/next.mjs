import { rmSync } from "node:fs";
import { openBrowser, outcomeOf } from "../lib/browser.mjs";
import { faultOf } from "../lib/checks.mjs";
import { Project } from "../lib/project.mjs";

// With webpack, Next 16.4.6 does not build even an edge route that imports nothing.
const BUNDLERS = [
  { bundler: "Turbopack", flag: "--turbopack", hasEdge: true },
  { bundler: "webpack", flag: "--webpack", hasEdge: false },
];

/** Next: server component, route handler, server action, edge route and client component, with both bundlers. */
export async function run({ tarballs, check, tell }) {
  const project = Project.install("next-16", tarballs);
  const env = { NEXT_TELEMETRY_DISABLED: "1" };
  const browser = await openBrowser();
  try {
    for (const { bundler, flag, hasEdge } of BUNDLERS) {
      const told = (mode) => `${project.version("next")}, ${bundler}, ${mode}`;
      rmSync(project.path(".next"), { recursive: true, force: true });
      if (!hasEdge) {
        rmSync(project.path("app/edge"), { recursive: true });
        tell(
          `${project.version("next")}, ${bundler}: no edge route, since Next does not build one that imports nothing`,
        );
      }
      project.run("next", ["build", flag], { env });
      const server = await project.start("next", ["start", "--port", "0"], { env });
      await pages(server, browser, hasEdge, told("build"), check).finally(server.stop);
      const development = await project.start("next", ["dev", flag, "--port", "0"], { env });
      await pages(development, browser, hasEdge, told("development server"), check).finally(development.stop);
    }
  } finally {
    await browser.close();
  }
}

async function pages({ origin }, browser, hasEdge, told, check) {
  const wide = { dimensions: 256 };
  const narrow = { dimensions: 128 };
  const json = async (path) => (await fetch(`${origin}${path}`)).json();
  const click = (page) => page.getByRole("button", { name: "Learn" }).click();
  const shown = (path, options) => outcomeOf(browser, `${origin}${path}`, options);
  await check(`${told}, server component`, async () => faultOf(await shown("/server"), narrow));
  await check(`${told}, route handler`, async () => faultOf(await json("/route"), wide));
  await check(`${told}, server action`, async () => faultOf(await shown("/action", { meanwhile: click }), wide));
  await check(`${told}, client component`, async () => faultOf(await shown("/client"), wide));
  if (!hasEdge) return;
  await check(`${told}, edge route`, async () => faultOf(await json("/edge"), { ...narrow, kernels: /./ }));
}
