import { openBrowser } from "../lib/browser.mjs";
import { faultOf } from "../lib/checks.mjs";
import { Project } from "../lib/project.mjs";
import { serve } from "../lib/serve.mjs";

/** An app that is opened once and then without a network, with vite-plugin-pwa as its documentation sets it up. */
export async function run({ tarballs, check }) {
  const project = Project.install("pwa", tarballs);
  project.run("vite", ["build"]);
  const server = await serve(project.path("dist"));
  const browser = await openBrowser();
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    const visit = async () => {
      await page.goto(`${server.origin}/`, { timeout: 180_000 });
      const told = page.locator("[data-outcome]");
      await told.waitFor({ state: "attached", timeout: 180_000 });
      return faultOf(JSON.parse(await told.getAttribute("data-outcome")), { dimensions: 128 });
    };
    await check(`${project.version("vite-plugin-pwa")}, first visit`, visit);
    await page.evaluate(async () => void (await navigator.serviceWorker.ready));
    server.stop();
    await context.setOffline(true);
    await check(`${project.version("vite-plugin-pwa")}, second visit, without a network`, visit);
  } finally {
    await browser.close();
    server.stop();
  }
}
