import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const PLACES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Starts Chromium. @param args of its command line */
export async function openBrowser(args = []) {
  const executablePath = PLACES.find((place) => place !== undefined && existsSync(place));
  if (executablePath === undefined) throw new Error("there is no Chromium: apt-get install chromium, or set CHROMIUM");
  const require = createRequire(join(import.meta.dirname, "../package.json"));
  const { chromium } = require("playwright-core");
  return chromium.launch({ executablePath, args: ["--no-sandbox", ...args] });
}

/**
 * Opens a page, and waits until it has told its outcome (`shared/tell.js`).
 * @param options the frame in which it is told; seconds to wait; what to do in the page meanwhile
 * @returns the outcome; an error in the page is thrown
 */
export async function outcomeOf(browser, url, { frame, seconds = 180, meanwhile = async () => {} } = {}) {
  const context = await browser.newContext();
  try {
    const page = await context.newPage();
    const said = [];
    page.on("pageerror", (error) => said.push(String(error)));
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && said.push(message.text()));
    await page.goto(url, { timeout: seconds * 1000 });
    await meanwhile(page, context);
    const told = (frame === undefined ? page : page.frameLocator(frame)).locator("[data-outcome]");
    await told.waitFor({ state: "attached", timeout: seconds * 1000 }).catch(async () => {
      throw new Error(`the page told nothing: ${said.join("\n")}\n${(await page.content()).slice(0, 2000)}`);
    });
    return JSON.parse(await told.getAttribute("data-outcome"));
  } finally {
    await context.close();
  }
}
