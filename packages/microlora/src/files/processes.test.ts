import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { build } from "esbuild";
import { afterAll, expect, test } from "vitest";
import { uniformFrom } from "../base/samples.test-support.js";
import { replaceFiles } from "../node.js";
import type { Counts } from "./clicker.test-support.js";

const root = mkdtempSync(join(tmpdir(), "microlora-processes-"));
afterAll(() => rmSync(root, { recursive: true }));

async function programOf(name: string, contents: string, alias: Record<string, string> = {}): Promise<string> {
  const outfile = join(root, `${name}.mjs`);
  const stdin = { contents, resolveDir: import.meta.dirname };
  await build({ stdin, outfile, alias, bundle: true, platform: "node", format: "esm", logLevel: "error" });
  return outfile;
}

/** A process that clicks, is killed and started again, and what it said. */
class Clicker {
  saved = 0;
  conflicts = 0;
  kills = 0;
  #child: ChildProcess | undefined;

  constructor(
    private readonly program: string,
    private readonly path: string,
    readonly name: string,
  ) {}

  start(): void {
    const child = spawn(process.execPath, [this.program, this.path, this.name], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    child.stdout.on("data", (data: Buffer) => {
      for (const letter of data.toString()) letter === "." ? this.saved++ : this.conflicts++;
    });
    this.#child = child;
  }

  async kill(): Promise<void> {
    const child = this.#child!;
    const closed = once(child, "close");
    child.kill("SIGKILL");
    expect(await closed, `${this.name} had an error of another kind`).toEqual([null, "SIGKILL"]);
    this.kills++;
  }
}

test("processes that are killed at random save to one file: no click that was saved is lost, whoever is late is told", async () => {
  const program = await programOf(
    "clicker",
    'import { clickForever } from "./clicker.test-support.js"; clickForever(process.argv[2], process.argv[3]);',
  );
  const path = join(root, "shared");
  const uniform = uniformFrom(5);
  const clickers = ["a", "b", "c"].map((name) => new Clicker(program, path, name));
  for (const clicker of clickers) clicker.start();
  const isEnough = () => clickers.every(({ saved }) => saved > 0) && clickers.some(({ conflicts }) => conflicts > 0);
  for (let kill = 0; kill < 12 || !isEnough(); kill++) {
    await delay(400 * uniform());
    const clicker = clickers[kill % clickers.length]!;
    await clicker.kill();
    clicker.start();
  }
  for (const clicker of clickers) await clicker.kill();
  const counts = JSON.parse(readFileSync(path, "utf8")) as Counts;
  for (const { name, saved, kills } of clickers) {
    expect(counts[name], `${name}: ${saved} saved, ${kills} kills`).toBeGreaterThanOrEqual(saved);
    // A kill may come between a save and the word about it.
    expect(counts[name]).toBeLessThanOrEqual(saved + kills);
  }
});

test("a kill before any call leaves each file old or new, and the next save does not wait", async () => {
  const faulty = join(import.meta.dirname, "faulty-fs.test-support.ts");
  const program = await programOf(
    "killed",
    'import { replaceUntilKilled } from "./killed.test-support.js"; replaceUntilKilled(Number(process.argv[2]), process.argv.slice(3));',
    { "node:fs/promises": faulty },
  );
  for (const count of [1, 2]) {
    let isKilled = true;
    let kills = 0;
    for (; isKilled; kills++) {
      const folder = mkdtempSync(join(root, "killed-"));
      const paths = ["a", "b"].slice(0, count).map((name) => join(folder, name));
      for (const path of paths) writeFileSync(path, "old");
      const { signal, stderr } = spawnSync(process.execPath, [program, String(kills), ...paths], { encoding: "utf8" });
      isKilled = signal === "SIGKILL";
      expect(stderr).toBe("");
      const texts = paths.map((path) => readFileSync(path, "utf8"));
      expect(isKilled ? ["old", "new"] : ["new"]).toEqual(expect.arrayContaining([...new Set(texts)]));
      // The first is replaced last: where it is new, all are.
      if (texts[0] === "new") expect(texts).not.toContain("old");
      const start = performance.now();
      await replaceFiles(paths.map((path) => ({ path, write: (append) => append(Buffer.from("newer")) })));
      expect(performance.now() - start, `after kill ${kills}`).toBeLessThan(5000);
      for (const path of paths) expect(readFileSync(path, "utf8")).toBe("newer");
      expect(readdirSync(folder).filter((name) => name.endsWith("lock"))).toEqual([]);
    }
    expect(kills).toBeGreaterThan(10 * count);
  }
});
