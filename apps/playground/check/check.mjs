// The built page in real Chromium: what a visitor does, without the mouse and with it; axe; sizes; no request to anywhere else; offline.
// With SCREENSHOTS=FOLDER it keeps pictures.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { encodePeft, fromMicroLora } from "@microlora/formats";
import { MicroLora } from "microlora";
import { chromium } from "playwright-core";
import { serve } from "../../../platforms/lib/serve.mjs";

const SITE = join(import.meta.dirname, "../dist");
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const BROWSERS = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const { SCREENSHOTS } = process.env;
const MODEL = join(import.meta.dirname, "../../../packages/onnx/fixtures/gpt2-legacy/model.onnx");

/** Bytes that a first visit may load, packed: what has to come before results, and the weights. */
const MOST = { page: 120 * 1024, weights: 4 * 2 ** 20 };

const { origin, stop } = await serve(SITE);
const address = `${origin}/`;
const executablePath = BROWSERS.find((path) => path && existsSync(path));
const profile = mkdtempSync(join(tmpdir(), "microlora-playground-"));
const context = await chromium.launchPersistentContext(profile, { executablePath, args: ["--no-sandbox"] });

/** Titles in a list, and what stands behind them. */
const rowsOf = (page, side) => page.$$eval(`.results${side} .title`, (all) => all.map((each) => each.textContent));
const factOf = (page, name) => page.$eval(`.facts div:has(dt:text-is("${name}")) dd`, (each) => each.textContent);

async function opened(scheme = "light", width = 1280) {
  const page = await context.newPage();
  page.on("request", (request) => assert(request.url().startsWith(address), `a request went to ${request.url()}`));
  page.on("pageerror", (error) => assert.fail(`the page threw ${error}`));
  await page.setViewportSize({ width, height: 860 });
  await page.emulateMedia({ colorScheme: scheme });
  await page.goto(address);
  await page.waitForSelector(".results.mine li", { timeout: 60_000 });
  return page;
}

async function picture(page, name) {
  if (SCREENSHOTS === undefined) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.waitForTimeout(500);
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

async function axe(page, where) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const told = violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 200)}`);
  assert.deepEqual(told, [], `axe, ${where}`);
}

async function learns() {
  const page = await opened();
  const before = await rowsOf(page, ".mine");
  assert.deepEqual(before, await rowsOf(page, ":not(.mine)"), "a newcomer sees what everyone sees");
  const chosen = before[5];
  await page.click(`.results.mine li:nth-child(6) button`);
  await page.waitForSelector(".rise.up");
  const after = await rowsOf(page, ".mine");
  assert(after.indexOf(chosen) < 5, `${chosen} rose`);
  assert.deepEqual(await rowsOf(page, ":not(.mine)"), before, "everyone's list stays");
  assert.equal(await factOf(page, "choices"), "1");
  assert.equal(
    await page.evaluate(() => document.activeElement.textContent.includes("▲")),
    true,
    "the focus stays on what moved",
  );
  await picture(page, "search");
  await axe(page, "search, light");
  await page.reload();
  await page.waitForSelector(".rise.up", { timeout: 60_000 });
  assert.deepEqual(await rowsOf(page, ".mine"), after, "what was learned is there after a reload");
  await page.click("text=Undo");
  await page.waitForFunction(() => document.querySelector(".rise") === null);
  assert.deepEqual(await rowsOf(page, ".mine"), before, "undone");
  await page.click("text=Redo");
  await page.waitForSelector(".rise.up");
  assert.deepEqual(await rowsOf(page, ".mine"), after, "learned again, to the same list");
  return { page, before, after };
}

async function usersAreApart({ page, before, after }) {
  await page.click("text=New user from here");
  await page.waitForSelector('[aria-pressed="true"]:text("Ben")');
  assert.deepEqual(await rowsOf(page, ".mine"), after, "a branch starts with the choices up to here");
  await page.click("text=Forget me");
  await page.waitForSelector("text=/Ben is forgotten: [\\d,]+ bytes/");
  assert.deepEqual(await rowsOf(page, ".mine"), after, "forgetting Ben leaves Anna alone");
  await page.click("text=Forget me");
  await page.waitForFunction(() => document.querySelector(".rise") === null);
  assert.deepEqual(await rowsOf(page, ".mine"), before, "forgotten");
  const left = await page.evaluate(
    () =>
      new Promise((read) => {
        const opening = indexedDB.open("microlora-playground");
        opening.onsuccess = () => {
          const all = opening.result.transaction("users").objectStore("users").getAll();
          all.onsuccess = () => read(all.result.length);
        };
      }),
  );
  assert.equal(left, 0, "no record is left on disk");
}

async function byKeyboard(page) {
  await page.focus("input[type=search]");
  await page.keyboard.press("Control+A");
  await page.keyboard.type("orange");
  await page.waitForFunction(() =>
    document.querySelector(".results.mine .title")?.textContent.match(/orange|tangerine/),
  );
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await page.waitForSelector("text=/^Learned/");
  await page.focus("#tab-search");
  await page.keyboard.press("ArrowRight");
  await page.waitForSelector(".forgetting");
  await page.keyboard.press("ArrowRight");
  await page.waitForSelector(".yours");
  await axe(page, "your documents");
  await picture(page, "yours");
  await page.keyboard.press("ArrowRight");
  await page.waitForSelector(".about");
  await axe(page, "about");
  await picture(page, "about");
}

async function ownDocuments(page) {
  await page.click("#tab-yours");
  await page.fill("textarea", 'title,price\n"red, ripe apple",1\ngreen apple,2\napple pie,3\napple computer,4\n');
  await page.click("text=Search these");
  await page.fill("input[type=search]", "apple");
  await page.waitForFunction(() => document.querySelectorAll(".results.mine li").length === 5);
  assert((await rowsOf(page, ".mine")).includes("red, ripe apple"));
  await page.selectOption(".box select", "icons");
  await page.fill("input[type=search]", "money");
  await page.waitForSelector(".results.mine svg.picture");
  await picture(page, "icons");
}

/** The second tab does not write, says so, and takes over when asked. */
/** An adapter as PEFT keeps it. */
async function peftFolder() {
  const modules = ["layers.0.q_proj", "layers.0.v_proj"];
  const lora = await MicroLora.create({ hiddenSize: 16, rank: 2, targetModules: modules });
  const { config, weights } = encodePeft(fromMicroLora(lora.exportState()));
  return Object.entries({ "adapter_config.json": config, "adapter_model.safetensors": weights });
}

/** A model's layers, an adapter in other formats, and files that are neither. */
async function modelFiles(page) {
  await page.click("#tab-yours");
  const input = page.locator(".files input[type=file]");
  await input.setInputFiles(MODEL);
  await page.waitForSelector(".files table");
  const names = await page.$$eval(".files tbody th", (cells) => cells.map((cell) => cell.textContent));
  assert(
    names.some((name) => name.includes("q_proj") || name.includes("attn")),
    `layers are named: ${names}`,
  );
  await picture(page, "model");
  await axe(page, "a model");
  await input.setInputFiles(
    (await peftFolder()).map(([name, bytes]) => ({
      name,
      buffer: Buffer.from(bytes),
      mimeType: "application/octet-stream",
    })),
  );
  await page.waitForSelector("text=As GGUF");
  for (const [label, file] of [
    ["As .mlora", "adapter.mlora"],
    ["As .onnx_adapter", "adapter.onnx_adapter"],
  ]) {
    const download = page.waitForEvent("download");
    await page.click(`text=${label}`);
    assert.equal((await download).suggestedFilename(), file);
  }
  await picture(page, "adapter");
  await input.setInputFiles({ name: "a.safetensors", buffer: Buffer.from("<!DOCTYPE html>"), mimeType: "text/html" });
  await page.waitForFunction(() => /HTML|html/.test(document.querySelector(".files [role=status]").textContent));
  await input.setInputFiles({ name: "photo.jpg", buffer: Buffer.from([255, 216, 255]), mimeType: "image/jpeg" });
  await page.waitForFunction(() => document.querySelector(".files [role=status]").textContent.includes("no adapter"));
  assert.equal(await page.locator(".files table").count(), 0, "nothing is shown of a file that was refused");
  await page.click("#tab-search");
}

/** Four tastes are learned in turn; the table fills, and more rank keeps more. */
async function forgetting(page) {
  await page.click("#tab-forget");
  const cells = () =>
    page.$$eval(".matrix tbody tr", (rows) =>
      rows.map((row) => [...row.querySelectorAll("td")].map((cell) => cell.textContent)),
    );
  const kept = [];
  for (const rank of ["1", "8"]) {
    await page.click(`.choice label:has-text("${rank}") input`);
    await page.waitForFunction(() => document.querySelector("[role=status]")?.textContent.startsWith("Round 0"));
    assert.equal(
      (await cells()).flat().filter((text) => text !== "").length,
      4,
      "at first, only the row before learning",
    );
    await page.click("text=One round");
    await page.waitForFunction(() => document.querySelector("[role=status]")?.textContent.startsWith("Round 1 "));
    await page.click("text=Play");
    await page.waitForSelector("text=at the end", { timeout: 30_000 });
    const matrix = (await cells()).map((row) => row.map(Number));
    assert(matrix.length === 5 && matrix.flat().every((value) => value >= 0 && value <= 1), "each cell is a share");
    const own = matrix[0].map((_, i) => matrix[i + 1][i]);
    const sum = (values) => values.reduce((a, b) => a + b);
    assert(sum(own) > sum(matrix[0]) + 0.5, `what is taught is found: ${own}, ${matrix[0]} before`);
    kept.push(sum(matrix[4]));
  }
  assert(kept[1] > kept[0], `rank 8 keeps more than rank 1: ${kept}`);
  await page.setViewportSize({ width: 360, height: 860 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert(wide <= 360, `at 360 pixels the page is ${wide} wide`);
  await picture(page, "forgetting-narrow");
  await page.setViewportSize({ width: 1280, height: 860 });
  await picture(page, "forgetting");
  await axe(page, "forgetting");
  await page.click("#tab-search");
}

async function twoTabs() {
  const second = await opened();
  await second.waitForSelector("text=/Another tab/");
  await second.click("text=Save here instead");
  await second.waitForFunction(() => !document.querySelector(".notice"));
  await second.close();
}

async function looksRight() {
  const dark = await opened("dark");
  await axe(dark, "dark");
  await picture(dark, "dark");
  await dark.close();
  const narrow = await opened("light", 360);
  const wide = await narrow.evaluate(() => document.documentElement.scrollWidth);
  assert(wide <= 360, `at 360 pixels the page is ${wide} wide`);
  await axe(narrow, "360 pixels");
  await picture(narrow, "narrow");
  await narrow.close();
}

async function offline(page) {
  await page.evaluate(() => navigator.serviceWorker.ready);
  await page.reload();
  await page.waitForSelector(".results.mine li", { timeout: 60_000 });
  await context.setOffline(true);
  await page.reload();
  await page.waitForSelector(".results.mine li", { timeout: 60_000 });
  await context.setOffline(false);
}

/** Packed bytes of what a first visit loads. */
function sizes() {
  const assets = readdirSync(join(SITE, "assets"));
  const packed = (path) => gzipSync(readFileSync(join(SITE, path)), { level: 9 }).length;
  const first = [
    "index.html",
    "corpora/emoji.json",
    // The worker that reads models and adapters comes when somebody opens one.
    ...assets.filter((name) => /\.(js|css)$/.test(name) && !name.startsWith("files-")).map((name) => `assets/${name}`),
  ];
  const page = first.reduce((sum, path) => sum + packed(path), 0);
  const weights = packed(`assets/${assets.find((name) => name.includes("128") && name.endsWith(".bin"))}`);
  assert(page <= MOST.page, `the page is ${page} bytes packed, the most is ${MOST.page}`);
  assert(weights <= MOST.weights, `the weights are ${weights} bytes packed, the most is ${MOST.weights}`);
  return { page, weights };
}

try {
  const { page, weights } = sizes();
  const first = await learns();
  await usersAreApart(first);
  await byKeyboard(first.page);
  await ownDocuments(first.page);
  await modelFiles(first.page);
  await forgetting(first.page);
  await twoTabs();
  await looksRight();
  await offline(first.page);
  console.log(`playground: all checks hold; ${page} bytes packed with the corpus, weights ${weights}`);
} finally {
  await context.close();
  stop();
  rmSync(profile, { recursive: true, force: true });
}
