import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { MicroLoraError } from "../base/errors.js";
import { replaceFiles, save } from "../node.js";
import { faults } from "./faulty-fs.test-support.js";

vi.mock("node:fs/promises", () => import("./faulty-fs.test-support.js"));

const folders: string[] = [];
afterEach(() => {
  faults.before = () => {};
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

function folderWith(old: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "microlora-faults-"));
  folders.push(folder);
  for (const name of old) writeFileSync(join(folder, name), "old");
  return folder;
}

const NAMES = ["a", "b", "c"];

function replaceAll(folder: string): Promise<void> {
  return replaceFiles(
    NAMES.map((name) => ({ path: join(folder, name), write: (append) => append(Buffer.from("new")) })),
  );
}

/** The visible files and their contents. */
function contents(folder: string): Record<string, string> {
  const names = readdirSync(folder).filter((name) => !name.startsWith("."));
  return Object.fromEntries(names.sort().map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code, errno: -1, syscall: "some" });
}

/** Fails the call with this number, and those of the given kinds always. */
function failCall(number: number, always: readonly string[], failed: string[]): void {
  let calls = 0;
  faults.before = (call) => {
    if (always.includes(call)) throw systemError("EPERM");
    if (calls++ !== number) return;
    failed.push(call);
    throw systemError("EIO");
  };
}

test.each([
  ["over three files", NAMES, []],
  ["where there are none", [], []],
  ["over one of three", ["b"], []],
  ["over three files, without hard links", NAMES, ["link"]],
])("a fault at any call leaves all files new or all old: %s", async (_, old, always) => {
  const failed: string[] = [];
  for (let number = 0; ; number++) {
    const folder = folderWith(old);
    const before = contents(folder);
    const faultsBefore = failed.length;
    failCall(number, always, failed);
    const error = await replaceAll(folder).catch((reason: unknown) => reason);
    faults.before = () => {};
    const isNew = Object.values(contents(folder)).filter((text) => text === "new").length === NAMES.length;
    if (error === undefined) expect(isNew).toBe(true);
    else if (!isNew) expect(contents(folder), `call ${number}, ${failed.at(-1)}`).toEqual(before);
    if (error !== undefined) {
      expect(error).toBeInstanceOf(MicroLoraError);
      expect((error as MicroLoraError).code).toBe("cannot-write");
      expect((error as MicroLoraError).cause).toMatchObject({ code: "EIO" });
    }
    // Whatever was left behind does not stop a later save.
    await replaceAll(folder);
    expect(Object.values(contents(folder))).toEqual(["new", "new", "new"]);
    if (failed.length === faultsBefore) break;
  }
  expect(failed).toEqual(expect.arrayContaining(["open", "rename", "utimes", "handle.writeFile", "handle.sync"]));
});

test("a fault at any call of a save leaves the old file or the new one", async () => {
  const failed: string[] = [];
  for (let number = 0; failed.length === number; number++) {
    const folder = folderWith(["a"]);
    failCall(number, [], failed);
    await save({ toBytes: () => Buffer.from("new") }, join(folder, "a")).catch(() => {});
    faults.before = () => {};
    expect(["new", "old"]).toContain(readFileSync(join(folder, "a"), "utf8"));
  }
  expect(failed.length).toBeGreaterThan(15);
});

test("several files are replaced together or not at all when a sweep takes a temporary file", async () => {
  const folder = folderWith(NAMES);
  let calls = 0;
  faults.before = (call) => {
    if (call !== "utimes" || calls++ !== 1) return;
    const [oldest] = readdirSync(folder).filter((name) => name.endsWith(".mlora-tmp"));
    rmSync(join(folder, oldest!));
  };
  const error = await replaceAll(folder).catch((reason: unknown) => reason);
  faults.before = () => {};
  const texts = new Set(Object.values(contents(folder)));
  expect([error === undefined ? "new" : "old"]).toEqual([...texts]);
  expect(error).toMatchObject({ code: "cannot-write" });
  expect(readdirSync(folder).filter((name) => name.startsWith("."))).toEqual([]);
});
