import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { sampleEvent, text } from "../contract/samples.test-support.js";
import { openSqliteStore } from "./node.js";

const folder = mkdtempSync(join(tmpdir(), "microlora-erasure-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Users whose rows lie among each other, so that pages split and join around them. */
const USERS = 60;
const ROUNDS = 12;

test("no byte of an erased user is left in any file", async () => {
  const path = join(folder, "store");
  const store = await openSqliteStore(path);
  const name = (i: number) => `${i % 3 === 0 ? "MARKER" : "other"}-${(i * 37) % USERS}`;
  for (let round = 0; round < ROUNDS; round++) {
    for (let i = 0; i < USERS; i++) {
      const size = (i * 97 + round * 389) % 6000;
      const event = sampleEvent(name(i), `${name(i)} ${round}`, round, {
        payload: text(`${name(i)} `.repeat(size / 10)),
        source: text(`${name(i)} said`),
        answer: "learned",
      });
      expect(await store.append([event])).toMatchObject([{ status: "ok" }]);
      if (round % 4 === 3) await store.snapshot(event.key, round, text(`${name(i)} `.repeat(size)));
    }
  }
  for (let i = 0; i < USERS; i += 3) {
    const { key } = sampleEvent(name(i), "id", 0);
    expect(await store.erase(key)).toMatchObject({ existed: true, events: ROUNDS, snapshots: 2, remains: [] });
  }
  for (const file of readdirSync(folder)) {
    expect([file, count(readFileSync(join(folder, file)), "MARKER")]).toEqual([file, 0]);
  }
  for (let i = 1; i < USERS; i += 3) expect((await store.load(sampleEvent(name(i), "id", 0).key)).seq).toBe(ROUNDS);
  await store.verify();
  await store.close();
});

function count(bytes: Buffer, marker: string): number {
  let found = 0;
  for (let at = bytes.indexOf(marker); at >= 0; at = bytes.indexOf(marker, at + 1)) found++;
  return found;
}
