// Checks the built site: links, accessibility by axe in light and dark, and use by keyboard, in Chromium. With SCREENSHOTS=FOLDER it keeps
// pictures of some pages.
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { brokenLinks, pagesOf } from "./links.mjs";
import { serve } from "./server.mjs";

const SITE = join(import.meta.dirname, "../dist/site");
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const BROWSERS = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
/** In dark, only colours differ. `label-content-name-mismatch` is an experiment of axe, which reads the key hint of the search button as text. */
const OPTIONS = {
  light: {
    runOnly: { type: "tag", values: TAGS },
    rules: { "label-content-name-mismatch": { enabled: false } },
    resultTypes: ["violations"],
  },
  dark: { runOnly: { type: "rule", values: ["color-contrast"] }, resultTypes: ["violations"] },
};
/** Pages that are alike: some of each kind are looked at. */
const GENERATED =
  /^(?:decisions\/0|source\/)|^reference\/(?!index|microlora\/(index|classes\/Personalizer|interfaces\/PersonalizerConfig|functions\/adamw)\.)/;
/** Colours are the theme's, so in dark one page of each kind tells. */
const IN_DARK = /^(index|testing|results)\.html$|^(start|concepts)\/|^reference\//;
/** Milliseconds that anything may take on a machine that is busy. */
const PATIENCE = 120_000;
const PICTURES = [
  "index.html",
  "start/search.html",
  "concepts/two-speeds.html",
  "results.html",
  "reference/microlora/interfaces/PersonalizerConfig.html",
];

const faults = [];
const fault = (what) => {
  faults.push(what);
  console.error(`WRONG ${what}`);
};

/** Navigation is alike on all pages, so that most are checked without it. */
async function checkAxe(page, name, scheme) {
  const isWhole = PICTURES.includes(name);
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(
    ([within, options]) => globalThis.axe.run(within ?? document, options),
    [isWhole ? undefined : "main, .main", OPTIONS[scheme]],
  );
  for (const { id, help, nodes } of violations) {
    fault(
      `${name}, ${scheme}: ${id}, ${help}\n    ${nodes
        .slice(0, 3)
        .map(({ html }) => html.slice(0, 160))
        .join("\n    ")}`,
    );
  }
}

/** Opens each page in a colour scheme. */
async function checkPages(browser, origin, pages, scheme) {
  const context = await browser.newContext({
    colorScheme: scheme,
    reducedMotion: "reduce",
    viewport: { width: 1280, height: 900 },
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  let name = "";
  page.on("pageerror", (error) => fault(`${name}: ${error}`));
  page.on("console", (message) => message.type() === "error" && fault(`${name}: ${message.text()}`));
  for (name of pages) {
    await page.goto(`${origin}/${name}`, { waitUntil: "load" });
    await checkAxe(page, name, scheme);
    if (PICTURES.includes(name)) await picture(page, `${name.replaceAll("/", "-")}-${scheme}`);
  }
  await context.close();
}

/** A page must not scroll sideways on a phone. */
async function checkNarrow(browser, origin, pages) {
  const context = await browser.newContext({ viewport: { width: 360, height: 740 } });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  for (const name of pages) {
    await page.goto(`${origin}/${name}`, { waitUntil: "load" });
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    if (width > 360) fault(`${name}: is ${width} pixels wide on a screen of 360`);
    if (name === PICTURES[0]) await picture(page, "narrow");
  }
  await context.close();
}

/** The skip link, the search and the switch of colours, without a mouse. */
async function checkKeyboard(browser, origin) {
  const page = await browser.newPage({ colorScheme: "light" });
  page.setDefaultTimeout(PATIENCE);
  await page.goto(`${origin}/`, { waitUntil: "networkidle" });
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? "");
  await page.keyboard.press("Tab");
  if (!/skip to content/i.test(await focused())) fault(`keyboard: the first stop is ${await focused()}`);

  await page.keyboard.press("Control+k");
  const box = page.locator(".VPLocalSearchBox input");
  await box.waitFor();
  await page.keyboard.type("wrong-base");
  await page.locator(".VPLocalSearchBox .result").first().waitFor();
  await picture(page, "search");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => location.pathname !== "/");

  await page.goto(`${origin}/`, { waitUntil: "networkidle" });
  const isDark = () => page.evaluate(() => document.documentElement.classList.contains("dark"));
  for (let stop = 0; stop < 30; stop++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(() => document.activeElement?.getAttribute("role") === "switch")) break;
  }
  await page.keyboard.press("Enter");
  if (!(await isDark())) fault("keyboard: the switch of colours is not reached, or does nothing");
  await page.close();
}

async function picture(page, name) {
  if (process.env.SCREENSHOTS === undefined) return;
  mkdirSync(process.env.SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`) });
}

const pages = pagesOf(SITE);
for (const link of brokenLinks(SITE, pages)) fault(`a link leads nowhere, ${link}`);
for (const file of ["llms.txt", "llms-full.txt"]) if (!existsSync(join(SITE, file))) fault(`there is no ${file}`);

const written = pages.filter((page) => !GENERATED.test(page));
const executablePath = BROWSERS.find((path) => path !== undefined && existsSync(path));
if (executablePath === undefined) throw new Error("there is no Chromium: apt-get install chromium, or set CHROMIUM");
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const server = await serve(SITE);
try {
  const { origin } = server;
  const light = checkPages(browser, origin, written, "light");
  await Promise.all([
    light,
    checkPages(
      browser,
      origin,
      written.filter((each) => IN_DARK.test(each)),
      "dark",
    ).then(() => checkNarrow(browser, origin, written)),
  ]);
  await checkKeyboard(browser, origin);
} finally {
  await browser.close();
  server.close();
}
console.log(
  `${pages.length} pages, links of all, ${written.length} of them in Chromium, light and dark: ${faults.length} faults`,
);
process.exitCode = faults.length === 0 ? 0 : 1;
