import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

const metrics = { mrr: expect.any(Number), top10: expect.any(Number) };
const session = { learned: expect.any(Number), final: expect.any(Number), forgetting: expect.any(Number) };

test("the demo runs, reports, and ends with one JSON object", { timeout: 120_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), "microlora-test-"));
  try {
    const report = join(folder, "report.html");
    const { code, stdout } = await run([
      "--json",
      "--among",
      "tuning",
      "--clicks",
      "5",
      "--rank",
      "2",
      "--report",
      report,
    ]);
    expect(code).toBe(0);
    expect(stdout).not.toContain("\x1b");
    expect(JSON.parse(stdout.trimEnd().split("\n").at(-1)!)).toMatchObject({
      seed: 1,
      clicks: 5,
      before: metrics,
      after: metrics,
      baselines: { offset: metrics },
      unrelated: { before: metrics, after: metrics },
      adaptMicroseconds: { p50: expect.any(Number), p99: expect.any(Number) },
      adapterBytes: expect.any(Number),
      sessions: { withEwc: session, withoutEwc: session },
    });
    expect(stdout).toMatch(/(\d+) of \1 queries answered the same/);
    const html = await readFile(report, "utf8");
    expect(html.match(/<svg /g)).toHaveLength(3);
    expect(html).not.toMatch(/<script|<link|<img|NaN|undefined|(src|href)=/);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test("what is picked in a piped conversation rises, and is told", async () => {
  const { code, stdout } = await run(["try"], "money\n5\nmoney\n99\n\n");
  expect(code).toBe(0);
  expect(stdout).toMatch(/is now number [1-4] for “money”/);
  expect(stdout).toContain("1 click learned");
});

test.each([
  [["frobnicate"], /frobnicate.*demo, try, inspect, convert, merge/],
  [["toString"], /toString.*demo, try/],
  [["--group", "Nobody"], /Nobody/],
  [["try", "--loud"], /loud/],
])("%j is answered with help on standard error", async (args, message) => {
  const { code, stdout, stderr } = await run(args);
  expect(code).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toMatch(message);
});

test("help, and the version", async () => {
  expect((await run(["--help"])).stdout).toContain("--seeds");
  expect((await run(["help"])).stdout).toContain("microlora merge MODEL ADAPTER OUT");
  const { version } = JSON.parse(await readFile(new URL("../package.json", import.meta.url), "utf8"));
  expect((await run(["--version"])).stdout).toBe(`${version}\n`);
  expect((await run(["try", "--help"])).stdout).toContain("learns from it");
});
