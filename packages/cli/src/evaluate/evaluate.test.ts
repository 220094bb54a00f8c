import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { microlora, refused } from "../adapters/run.test-support.js";
import { plantLog } from "./planted.test-support.js";

const folder = mkdtempSync(join(tmpdir(), "evaluate-test-"));
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);

async function report(...args: readonly string[]) {
  return JSON.parse(await microlora("evaluate", ...args, "--json", "--threads", "2"));
}

test("users with a taste gain; the report is one file that asks for nothing", { timeout: 300_000 }, async () => {
  plantLog(at("taste.jsonl"), at("documents.jsonl"), { users: 40, events: 40, taste: 1 });
  const html = at("report.html");
  const found = await report(at("taste.jsonl"), "--documents", at("documents.jsonl"), "--html", html);
  expect(found.verdict.answer).toBe("gains");
  expect(found.rows[0].gain.low).toBeGreaterThan(0.05);
  expect(found.users.helped).toBeGreaterThan(0.8);
  expect(found.curve.at(-1).gain.mean).toBeGreaterThan(found.curve[0].gain.mean);
  expect(found.facts).toMatchObject({ test: 20, tune: 12, dimensions: 16, isRated: false });
  const page = readFileSync(html, "utf8");
  expect(page).toContain("default-src 'none'");
  expect(page).not.toMatch(/<script|https?:|url\(/);
  expect(page.match(/<svg/g)).toHaveLength(4);
  expect(page).not.toMatch(/NaN|undefined/);
});

test("a log of random choices says that there is nothing to gain", { timeout: 300_000 }, async () => {
  plantLog(at("random.jsonl"), at("random-documents.jsonl"), { users: 60, events: 40, taste: 0 });
  const found = await report(at("random.jsonl"), "--documents", at("random-documents.jsonl"));
  expect(found.verdict.answer).toBe("nothing");
  expect(found.verdict.headline).toContain("nothing to gain");
  expect(Math.abs(found.rows[0].gain.mean)).toBeLessThan(0.05);
});

test("a run that was stopped goes on from its folder, and ends with the same numbers", {
  timeout: 300_000,
}, async () => {
  plantLog(at("short.jsonl"), at("short-documents.jsonl"), { users: 24, events: 12, taste: 1 });
  const call = [at("short.jsonl"), "--documents", at("short-documents.jsonl"), "--work", at("work")];
  const whole = await report(...call);
  const results = readFileSync(at("work/results.jsonl"), "utf8").split("\n");
  // The last line is cut off in the middle, as a run that is killed leaves it.
  writeFileSync(at("work/results.jsonl"), `${results.slice(0, 9).join("\n")}\n${results[9]!.slice(0, 40)}`);
  const again = await report(...call);
  const withoutTimes = (found: { rows: { microseconds: number }[] }) => ({
    ...found,
    rows: found.rows.map(({ microseconds: _, ...row }) => row),
  });
  expect(withoutTimes(again)).toEqual(withoutTimes(whole));
  const { code, stderr } = await refused("evaluate", ...call, "--clip", "5");
  expect(code).toBe(1);
  expect(stderr).toMatch(/other options.*\[wrong-work-folder\]/);
});

test.each([
  ["a log that is not there", [at("nowhere.jsonl")], 1, /nowhere\.jsonl: is not there.*\[no-such-file\]/],
  ["no log", [], 2, /Usage: microlora evaluate/],
  ["a number that is none", ["log.csv", "--users", "many"], 2, /--users is "many"/],
  ["a role that does not exist", ["log.csv", "--columns", "who=uid"], 2, /"who", which is none of user, time/],
  ["two logs", ["a.csv", "b.csv"], 2, /b\.csv is one file too many/],
])("%s is refused", async (_, args, code, message) => {
  const outcome = await refused("evaluate", ...args);
  expect(outcome.code).toBe(code);
  expect(outcome.stderr).toMatch(message);
});

test.each([
  ["unknown endings", "log.txt", "x", [], "unknown-format", /--format jsonl\|csv/],
  ["missing columns", "a.csv", "who,item\n1,2\n", [], "missing-column", /"who", "item".*--columns user=COLUMN/],
  ["columns that are not there", "b.csv", "who,item\n1,2\n", ["--columns", "user=uid"], "unknown-column", /"uid"/],
  ["empty files", "c.jsonl", "", [], "missing-column", /has no rows/],
  ["rows of which none is good", "d.jsonl", '{"user":1,"chosen":""}\n', [], "no-good-rows", /neither what was shown/],
  ["--liked without ratings", "e.csv", "user,item\n1,2\n", ["--liked", "4"], "missing-column", /rating=COLUMN/],
  ["few users", "f.csv", `user,item\n${"1,a\n1,b\n".repeat(9)}`, [], "too-few-users", /1 user .* 20 are needed/],
] as const)("%s are refused, with what to do", async (_, name, text, args, code, message) => {
  writeFileSync(at(name), text);
  const outcome = await refused("evaluate", at(name), ...args);
  expect(outcome.code).toBe(1);
  expect(outcome.stderr).toMatch(message);
  expect(outcome.stderr).toContain(`[${code}]`);
});
