import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as core from "microlora";
import { expect, test } from "vitest";
import { play } from "./events.mjs";

test("a list of events leaves the same bits as on every other engine and CPU", async () => {
  const golden = JSON.parse(readFileSync(join(import.meta.dirname, "golden.json"), "utf8"));
  const hash = createHash("sha256");
  for (const bytes of await play(core)) hash.update(bytes);
  expect(hash.digest("hex")).toBe(golden.sha256);
});
