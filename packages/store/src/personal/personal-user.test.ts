import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EmbeddingIndex, Runtime } from "microlora";
import { afterAll, expect, test } from "vitest";
import { type UserKey, userKey } from "../contract/keys.js";
import type { Store } from "../contract/store.js";
import { openPool, type Pool } from "../pool/pool.js";
import { openSqliteStore } from "../sqlite/node.js";
import { type PersonalUser, personalUsers } from "./personal-user.js";

const DIMENSIONS = 32;
const DOCUMENTS = 40;
const folder = mkdtempSync(join(tmpdir(), "microlora-personal-"));
afterAll(() => rmSync(folder, { recursive: true }));

const runtime = await Runtime.create({ kernels: "simd", memoryBytes: 64 * 1024 * 1024 });
const index = await EmbeddingIndex.create(
  Array.from({ length: DOCUMENTS }, (_, i) => [`d${i}`, vectorOf(i)] as const),
  { runtime },
);

function vectorOf(seed: number): Float32Array {
  return Float32Array.from({ length: DIMENSIONS }, (_, i) => Math.sin(seed * 12.9898 + i * 78.233));
}

function open(store: Store, snapshotEvery = 7): Promise<Pool<PersonalUser>> {
  const people = personalUsers({ runtime, dimensions: DIMENSIONS });
  return openPool({ store, memoryBytes: 16 * 1024 * 1024, snapshotEvery, now: () => 0, ...people });
}

/** A click on one of the ten best, as one was told of them. */
function click(pool: Pool<PersonalUser>, key: UserKey, i: number) {
  return pool.with(key, (turn) => {
    const query = vectorOf(1000 + (i % 17));
    const shown = turn.state.personalizer.search(query, index, 10).map(({ id }) => id);
    const { loss: _, ...change } = turn.state.prepare({ query, chosen: shown[(i * 7) % 10]!, shown, index });
    return turn.commit({ id: `${key.user} ${i}`, source: new Uint8Array(0), answer: "", ...change });
  });
}

const hashOf = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const hashIn = (pool: Pool<PersonalUser>, key: UserKey) => pool.with(key, (turn) => hashOf(turn.state.toBytes()));

test("live state, replay from zero, and a snapshot with the rest are the same bytes", async () => {
  const path = join(folder, "users");
  const keys = ["ann", "bob"].map((name) => userKey("tenant", name));
  const store = await openSqliteStore(path);
  const pool = await open(store);
  for (let i = 0; i < 60; i++) for (const key of keys) await click(pool, key, i);
  const live = await Promise.all(keys.map((key) => hashIn(pool, key)));
  await pool.close();

  const { snapshot, events } = await store.load(keys[0]!);
  expect(snapshot!.seq).toBeGreaterThan(50);
  expect(events.length).toBe(60 - snapshot!.seq);
  const again = await open(store);
  expect(await Promise.all(keys.map((key) => hashIn(again, key)))).toEqual(live);

  for (const [i, key] of keys.entries()) {
    const fromZero = personalUsers({ runtime, dimensions: DIMENSIONS }).create(null);
    for await (const event of store.export(key)) fromZero.apply(event);
    expect(hashOf(fromZero.toBytes())).toBe(live[i]);
    fromZero.close();
  }
  await again.close();
  await store.close();
});

test("what was learned is on disk when `with` is fulfilled", async () => {
  const path = join(folder, "durable");
  const key = userKey("tenant", "ann");
  const store = await openSqliteStore(path);
  const pool = await open(store);
  await click(pool, key, 0);
  expect((await store.load(key)).seq).toBe(1);
  await pool.close();
  await store.close();
});

test("a state that is put in the place of another one, and a consolidation, are replayed too", async () => {
  const key = userKey("tenant", "ann");
  const store = await openSqliteStore(join(folder, "states"));
  const pool = await open(store);
  for (let i = 0; i < 5; i++) await click(pool, key, i);
  const { state } = await pool.stateAt(key, 2);
  const second = state.toBytes();
  state.close();
  const event = (id: string) => ({ id, source: new Uint8Array(0), answer: "" });
  await pool.with(key, (turn) => turn.commit({ ...event("back"), ...turn.state.replace(second) }));
  expect(await hashIn(pool, key)).toBe(hashOf(second));
  await pool.with(key, (turn) => turn.commit({ ...event("task"), ...turn.state.consolidate() }));
  await click(pool, key, 9);
  const live = await hashIn(pool, key);
  const fromZero = personalUsers({ runtime, dimensions: DIMENSIONS }).create(null);
  for await (const each of store.export(key)) fromZero.apply(each);
  expect(hashOf(fromZero.toBytes())).toBe(live);
  fromZero.close();
  await pool.close();
  await store.close();
});

test("a state of another width, and bytes that are none, are refused and change nothing", async () => {
  const key = userKey("tenant", "ann");
  const store = await openSqliteStore(join(folder, "refused"));
  const pool = await open(store);
  await click(pool, key, 0);
  const before = await hashIn(pool, key);
  const other = personalUsers({ runtime, dimensions: DIMENSIONS * 2 }).create(null);
  for (const bytes of [other.toBytes(), new Uint8Array([1, 2, 3])]) {
    const refused = pool.with(key, (turn) =>
      turn.commit({ id: "x", source: bytes, answer: "", ...turn.state.replace(bytes) }),
    );
    await expect(refused).rejects.toMatchObject({ code: expect.stringMatching(/wrong-base|not-a-checkpoint/) });
  }
  expect(await hashIn(pool, key)).toBe(before);
  other.close();
  await pool.close();
  await store.close();
});

test("bytes of a hot user are those that the runtime gave", async () => {
  const before = runtime.usedBytes;
  const people = personalUsers({ runtime, dimensions: DIMENSIONS });
  const user = people.create(null);
  for (let i = 0; i < 12; i++) {
    const change = user.prepare({ query: vectorOf(i), chosen: "d1", shown: ["d1", "d2"], index });
    user.apply({ version: people.version, ...change });
  }
  expect(user.byteLength).toBeGreaterThanOrEqual(runtime.usedBytes - before);
  expect(user.byteLength).toBeLessThan(2 * (runtime.usedBytes - before) + 8192);
  user.close();
});
