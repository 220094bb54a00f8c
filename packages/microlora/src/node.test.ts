import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { build } from "esbuild";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MicroLora } from "./adapter/micro-lora.js";
import { expectRejection, expectSameBytes } from "./base/refusals.test-support.js";
import { floats, uniformFrom } from "./base/samples.test-support.js";
import { load, save } from "./node.js";
import { learnNext } from "./node-saver.test-support.js";
import { Personalizer } from "./search/personalizer.js";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "microlora-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("what was saved is loaded, over an older file too, and nothing is left beside it", async () => {
  const home = await mkdtemp(join(folder, "save-"));
  const path = join(home, "user.microlora");
  using lora = await MicroLora.create({ hiddenSize: 32, kernels: "simd" });
  for (let k = 0; k < 3; k++) {
    learnNext(lora);
    await save(lora, path);
    using back = await load(path, { kernels: "simd" });
    expectSameBytes(back.toBytes(), lora.toBytes());
  }
  expect(await readdir(home)).toEqual(["user.microlora"]);
});

test("a personalizer is saved in the same way", async () => {
  const path = join(folder, "personalizer");
  using personalizer = await Personalizer.create({ dimensions: 4 });
  const shown = [floats(4, 1), floats(4, 2)];
  personalizer.learn({ query: floats(4, 3), shown, chosen: shown[0]! });
  await save(personalizer, path);
  using back = await Personalizer.fromBytes(await readFile(path));
  expectSameBytes(back.toBytes(), personalizer.toBytes());
  await expectRejection(load(path), "not-a-checkpoint");
});

test("a folder that is not there is an error, and nothing is made", async () => {
  using lora = await MicroLora.create({ hiddenSize: 4 });
  const home = await mkdtemp(join(folder, "missing-"));
  await expectRejection(save(lora, join(home, "no", "file")), "cannot-write", join(home, "no", "file"));
  expect(await readdir(home)).toEqual([]);
  await expectRejection(load(join(home, "file")), "no-such-file", join(home, "file"));
  await expectRejection(load(join(home, "no", "file")), "no-such-file");
  await expect(load(join(home, "file"))).rejects.toMatchObject({ cause: { code: "ENOENT" } });
});

test("a target that cannot be replaced is an error, and the temporary file goes", async () => {
  using lora = await MicroLora.create({ hiddenSize: 4 });
  const home = await mkdtemp(join(folder, "taken-"));
  await mkdir(join(home, "file", "inside"), { recursive: true });
  await expectRejection(save(lora, join(home, "file")), "cannot-write");
  expect(await readdir(home)).toEqual(["file"]);
});

test("a state that cannot be had leaves the old file", async () => {
  const path = join(folder, "old");
  const lora = await MicroLora.create({ hiddenSize: 4 });
  await save(lora, path);
  const before = await readFile(path);
  lora[Symbol.dispose]();
  await expectRejection(save(lora, path), "disposed");
  expectSameBytes(await readFile(path), before);
});

test("a broken file is refused", async () => {
  const path = join(folder, "broken");
  using lora = await MicroLora.create({ hiddenSize: 4 });
  const bytes = lora.toBytes();
  await writeFile(path, bytes.subarray(0, bytes.length - 1));
  await expectRejection(load(path), "truncated-checkpoint");
  await writeFile(path, "");
  await expectRejection(load(path), "truncated-checkpoint");
});

test("many saves to one path at once: the file is the last of them, whole", async () => {
  const home = await mkdtemp(join(folder, "many-"));
  const path = join(home, "file");
  using lora = await MicroLora.create({ hiddenSize: 32, kernels: "simd" });
  const states: Buffer[] = [];
  const saves = Array.from({ length: 20 }, () => {
    learnNext(lora);
    states.push(Buffer.from(lora.toBytes()));
    return save(lora, path);
  });
  await Promise.all(saves);
  expectSameBytes(await readFile(path), states.at(-1)!);
  expect(await readdir(home)).toEqual(["file"]);
});

/** A program that learns and saves to the file of its argument until it is killed. */
async function saverIn(home: string): Promise<string> {
  const program = join(home, "saver.mjs");
  await build({
    stdin: {
      contents: 'import { saveForever } from "./node-saver.test-support.js"; saveForever(process.argv[2]);',
      resolveDir: import.meta.dirname,
    },
    outfile: program,
    bundle: true,
    platform: "node",
    format: "esm",
    logLevel: "error",
  });
  return program;
}

/** Lets the program save for a moment, and kills it. */
async function killed(program: string, path: string, milliseconds: number): Promise<void> {
  const child = spawn(process.execPath, [program, path], { stdio: ["ignore", "pipe", "inherit"] });
  const exit = once(child, "exit");
  await Promise.race([once(child.stdout, "data"), exit]);
  await delay(milliseconds);
  child.kill("SIGKILL");
  expect(await exit).toEqual([null, "SIGKILL"]);
}

test("a kill at any moment leaves the old file or the new one", async () => {
  const home = await mkdtemp(join(folder, "kill-"));
  const path = join(home, "file");
  const program = await saverIn(home);
  using expected = await MicroLora.create({ hiddenSize: 32, kernels: "simd" });
  await save(expected, path);
  const uniform = uniformFrom(1);
  let steps = 0;
  for (let kill = 0; kill < 20; kill++) {
    await killed(program, path, uniform() * 20);
    // What is there now loads, is a state that was saved, and is no older than what was there before.
    using lora = await load(path, { kernels: "simd" });
    expect(lora.adaptationCount).toBeGreaterThanOrEqual(expected.adaptationCount);
    steps += lora.adaptationCount - expected.adaptationCount;
    while (expected.adaptationCount < lora.adaptationCount) learnNext(expected);
    expectSameBytes(lora.toBytes(), expected.toBytes());
  }
  expect(steps, "saves that the kills came between").toBeGreaterThanOrEqual(20);
  // A kill may leave temporary files behind, which nobody takes for the file.
  for (const left of await readdir(home)) expect(left).toMatch(/^(file|saver\.mjs|\.[\w-]+\.mlora-(tmp|lock))$/);
  await copyFile(path, join(home, "copy"));
  (await load(join(home, "copy")))[Symbol.dispose]();
});

test("what kills left is removed by a later save, but not what another save may still be writing", async () => {
  const home = await mkdtemp(join(folder, "sweep-"));
  const path = join(home, "file");
  const program = await saverIn(home);
  using lora = await MicroLora.create({ hiddenSize: 32, kernels: "simd" });
  await save(lora, path);
  const left = async () => (await readdir(home)).filter((name) => name.endsWith("-tmp"));
  for (let kill = 0; kill < 50 && (await left()).length < 2; kill++) await killed(program, path, kill % 7);
  const [old, young] = await left();
  const hourAgo = Date.now() / 1000 - 3600;
  await utimes(join(home, old!), hourAgo, hourAgo);
  const ours = join(home, "notes.mlora-tmp");
  await writeFile(ours, "no name of a save");
  await utimes(ours, hourAgo, hourAgo);
  await killed(program, path, 100);
  const now = await readdir(home);
  expect(now).not.toContain(old);
  expect(now).toEqual(expect.arrayContaining([young, "notes.mlora-tmp", "file"]));
});
