import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { create, TEMPLATES } from "./create.js";

const folder = mkdtempSync(join(tmpdir(), "create-microlora-"));
afterAll(() => rmSync(folder, { recursive: true }));

test.each(Object.keys(TEMPLATES))("%s: a package of its own name, with a script that starts it", (template) => {
  const path = create(join(folder, `My ${template}!`), template);
  const { name, private: isPrivate, scripts } = JSON.parse(readFileSync(join(path, "package.json"), "utf8"));
  expect(name).toBe(`my-${template}`);
  expect(isPrivate).toBe(true);
  expect(scripts.dev ?? scripts.start).toBeTypeOf("string");
  expect(existsSync(join(path, ".gitignore"))).toBe(true);
});

test("what is there already is left as it is", () => {
  const path = join(folder, "taken");
  mkdirSync(path);
  writeFileSync(join(path, "own.txt"), "mine");
  expect(() => create(path, "vite")).toThrow(expect.objectContaining({ code: "not-empty" }));
  expect(readdirSync(path)).toEqual(["own.txt"]);
});

test("names that cannot be are refused", () => {
  expect(() => create(join(folder, "x"), "angular")).toThrow(expect.objectContaining({ code: "unknown-template" }));
  expect(() => create(join(folder, "x"), "toString")).toThrow(expect.objectContaining({ code: "unknown-template" }));
  expect(() => create(join(folder, "!!!"), "vite")).toThrow(expect.objectContaining({ code: "no-name" }));
  expect(existsSync(join(folder, "x"))).toBe(false);
});
