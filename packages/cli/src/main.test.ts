import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const MAIN = fileURLToPath(new URL("../dist/main.js", import.meta.url));

interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(args: readonly string[], input = ""): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: "pipe" });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, stdout, stderr }));
    child.stdin.end(input);
  });
}

test("the demo learns, and ends with one JSON object", { timeout: 120_000 }, async () => {
  const { code, stdout } = await run(["--json", "--group", "Animals & Nature", "--seed", "3"]);
  expect(code).toBe(0);
  expect(stdout).not.toContain("\x1b");
  expect(stdout).not.toMatch(/NaN|undefined/);
  const metrics = { mrr: expect.any(Number), elsewhere: expect.any(Number) };
  const result = JSON.parse(stdout.trimEnd().split("\n").at(-1)!);
  expect(result).toMatchObject({
    seed: 3,
    group: "Animals & Nature",
    clicks: expect.any(Number),
    before: metrics,
    after: metrics,
    clickMicroseconds: expect.any(Number),
    bytes: expect.any(Number),
  });
  expect(result.after.mrr).toBeGreaterThan(result.before.mrr);
});

test("what is picked in a piped conversation rises, and is told", async () => {
  const { code, stdout } = await run(["try"], "money\n5\nmoney\n99\n\n");
  expect(code).toBe(0);
  expect(stdout).toMatch(/is now number [1-4] for “money”/);
  expect(stdout).toContain("1 click learned");
});

test.each([
  [["frobnicate"], /frobnicate.*demo, try, chat, .*inspect, convert, merge/],
  [["toString"], /toString.*demo, try/],
  [["--group", "Nobody"], /Nobody.*Food & Drink/],
  [["--seed", "x"], /--seed/],
  [["try", "--loud"], /loud/],
])("%j is answered with help on standard error", async (args, message) => {
  const { code, stdout, stderr } = await run(args);
  expect(code).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toMatch(message);
});

test("help, and the version", async () => {
  expect((await run(["--help"])).stdout).toContain("--seed");
  expect((await run(["help"])).stdout).toContain("microlora merge MODEL ADAPTER OUT");
  const { version } = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));
  expect((await run(["--version"])).stdout).toBe(`${version}\n`);
  expect((await run(["try", "--help"])).stdout).toContain("learns from it");
});
