import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { settingsOf } from "./settings.js";

const folder = mkdtempSync(join(tmpdir(), "microlora-settings-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(settings: unknown): string {
  const path = join(folder, "settings.json");
  writeFileSync(path, typeof settings === "string" ? settings : JSON.stringify(settings));
  return path;
}

test("the command line counts before the environment, which counts before the file", () => {
  const config = file({ port: 1, userBytes: 2_000_000, host: "file", batch: 3 });
  const environment = { MICROLORA_PORT: "2", MICROLORA_HOST: "environment", MICROLORA_CONFIG: config };
  expect(settingsOf({ port: "3" }, environment)).toEqual({
    data: "./users",
    port: 3,
    host: "environment",
    userBytes: 2_000_000,
    batch: 3,
  });
});

test.each([
  ["a number that is none", { port: "many" }, {}],
  ["an empty number", {}, { MICROLORA_PORT: " " }],
  ["an empty text", {}, { MICROLORA_DATA: "" }],
])("%s is refused", (_, flags, environment) => {
  expect(() => settingsOf(flags, environment)).toThrow(/Pass a/);
});

test.each([[{ prot: 1 }], ["[]"], ["{"], ["3"]])("the file %j is refused", (content) => {
  expect(() => settingsOf({ config: file(content) }, {})).toThrow(/no setting|not a JSON object/);
});
