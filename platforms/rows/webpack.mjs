import { cpSync } from "node:fs";
import { openBrowser, outcomeOf } from "../lib/browser.mjs";
import { faultOf } from "../lib/checks.mjs";
import { Project } from "../lib/project.mjs";
import { serve } from "../lib/serve.mjs";

/** webpack without a configuration. */
export async function run({ tarballs, check }) {
  const project = Project.install("webpack-5", tarballs, "page");
  const browser = await openBrowser();
  try {
    for (const mode of ["production", "development"]) {
      project.run("webpack", ["--mode", mode, "--entry", "./main.js", "--output-path", `dist-${mode}`]);
      cpSync(project.path("index.html"), project.path(`dist-${mode}`, "index.html"));
      const server = await serve(project.path(`dist-${mode}`));
      await check(`${project.version("webpack")}, ${mode}`, async () =>
        faultOf(await outcomeOf(browser, `${server.origin}/`)),
      );
      server.stop();
    }
  } finally {
    await browser.close();
  }
}
