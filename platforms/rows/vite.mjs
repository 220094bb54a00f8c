import { openBrowser, outcomeOf } from "../lib/browser.mjs";
import { faultOf } from "../lib/checks.mjs";
import { Project } from "../lib/project.mjs";

const VERSIONS = [5, 6, 7, 8];

/** Vite's development server and its builds, without a configuration. */
export async function run({ tarballs, check }) {
  const browser = await openBrowser();
  try {
    for (const version of VERSIONS) {
      const project = Project.install(`vite-${version}`, tarballs, "page");
      await inDevelopment(project, browser, check);
      await built(project, browser, check);
    }
  } finally {
    await browser.close();
  }
}

async function inDevelopment(project, browser, check) {
  const server = await project.start("vite", ["--host", "127.0.0.1", "--port", "0", "--force"]);
  try {
    for (const dimensions of [256, 128]) {
      await check(`${project.version("vite")}, development server, ${dimensions} wide`, async () =>
        faultOf(await outcomeOf(browser, `${server.origin}/?dimensions=${dimensions}`), { dimensions }),
      );
    }
  } finally {
    server.stop();
  }
}

async function built(project, browser, check) {
  project.run("vite", ["build"]);
  const server = await project.start("vite", ["preview", "--host", "127.0.0.1", "--port", "0"]);
  try {
    for (const dimensions of [256, 128]) {
      await check(`${project.version("vite")}, build, ${dimensions} wide`, async () =>
        faultOf(await outcomeOf(browser, `${server.origin}/?dimensions=${dimensions}`), { dimensions }),
      );
    }
  } finally {
    server.stop();
  }
}
