import { expect, test, vi } from "vitest";
import { StoreError } from "../base/errors.js";
import { type UserKey, userKey } from "../contract/keys.js";
import { fill, text } from "../contract/samples.test-support.js";
import type { Store } from "../contract/store.js";
import { type MemoryPlaces, openMemoryStore } from "../memory/memory-store.js";
import { openPool } from "./pool.js";
import { click, ListState, learn, look, poolOptions, Room } from "./pool.test-support.js";

const ann = userKey("tenant", "ann");
const user = (i: number) => userKey("tenant", `user ${i}`);
const diskFull = () => Promise.reject(new StoreError("disk-full", "test", "is full", "Make room"));

test("turns of one user run in order, and answer once their events are stored", async () => {
  const store = openMemoryStore();
  const pool = await openPool(poolOptions(store));
  const ids = Array.from({ length: 50 }, (_, i) => `click ${i}`);
  const answers = await Promise.all(ids.map((id) => pool.with(ann, learn(id))));
  expect(answers).toEqual(ids.map((_, i) => ({ status: "ok", seq: i + 1 })));
  expect((await store.load(ann)).seq).toBe(50);
  expect(await pool.with(ann, look)).toEqual({ version: 50, seen: ids });
});

test("nothing is answered before the store has it", async () => {
  const store = openMemoryStore();
  let release = () => {};
  const append = store.append.bind(store);
  store.append = (batch) => new Promise((resolve) => (release = () => resolve(append(batch))));
  const pool = await openPool(poolOptions(store));
  const answered: string[] = [];
  const learned = pool.with(ann, learn("a")).then(() => answered.push("learned"));
  const seen = pool.with(ann, look).then(() => answered.push("looked"));
  await new Promise(setImmediate);
  expect(answered).toEqual([]);
  release();
  await Promise.all([learned, seen]);
  expect(answered).toEqual(["learned", "looked"]);
});

test("several events of one user share an append", async () => {
  const store = openMemoryStore();
  const append = vi.spyOn(store, "append");
  const pool = await openPool(poolOptions(store));
  await pool.with(ann, (turn) => [turn.commit(click("a")), turn.commit(click("b"))]);
  expect(append.mock.calls.map(([batch]) => batch.length)).toEqual([2]);
});

test("a user is loaded once for calls that come together, and a look makes no user", async () => {
  const store = openMemoryStore();
  const load = vi.spyOn(store, "load");
  const pool = await openPool(poolOptions(store));
  const looks = await Promise.all(Array.from({ length: 20 }, () => pool.with(ann, look)));
  expect(looks).toEqual(looks.map(() => ({ version: 0, seen: [] })));
  expect(load).toHaveBeenCalledTimes(1);
  expect((await store.users(ann.tenant)).users).toEqual([]);
});

test("an id counts once: at once, later, and after the user left memory", async () => {
  const store = openMemoryStore();
  const pool = await openPool(poolOptions(store, { memoryBytes: 1 }));
  const [first, again] = await Promise.all([pool.with(ann, learn("a")), pool.with(ann, learn("a"))]);
  expect(first).toEqual({ status: "ok", seq: 1 });
  const duplicate = { status: "duplicate", user: "ann", seq: 1, same: true, answer: "answer of a" };
  expect(again).toEqual(duplicate);
  expect(await pool.with(ann, learn("a"))).toEqual(duplicate);
  for (let i = 0; i < 100; i++) await pool.with(ann, learn(`later ${i}`));
  expect(await pool.with(ann, learn("a"))).toEqual(duplicate);
  const other = (turn: Parameters<ReturnType<typeof learn>>[0]) => turn.commit(click("a", { source: text("other") }));
  expect(await pool.with(ann, other)).toEqual({ ...duplicate, same: false });
  const twice = await pool.with(ann, (turn) => [
    turn.commit(click("x")),
    turn.commit(click("x")),
    turn.commit(click("a")),
  ]);
  expect(twice).toMatchObject([{ status: "ok" }, { status: "duplicate", same: true }, duplicate]);
  expect((await pool.with(ann, look)).seen.filter((id) => id === "a" || id === "x")).toEqual(["a", "x"]);
});

test("a refused event is told to its turn, and not stored", async () => {
  const store = openMemoryStore();
  const pool = await openPool(poolOptions(store));
  const refused = pool.with(ann, (turn) => turn.commit(click("a", { payload: text("refused") })));
  await expect(refused).rejects.toMatchObject({ code: "not-shown" });
  expect((await store.load(ann)).seq).toBe(0);
  expect(await pool.with(ann, learn("b"))).toEqual({ status: "ok", seq: 1 });
});

test("where the store fails, nothing that it does not have is seen, and reads go on", async () => {
  const store = openMemoryStore();
  const append = store.append;
  const pool = await openPool(poolOptions(store));
  await pool.with(ann, learn("a"));
  store.append = diskFull;
  const results = await Promise.allSettled([
    pool.with(ann, learn("b")),
    pool.with(ann, look),
    pool.with(ann, learn("c")),
  ]);
  expect(results[0]).toMatchObject({ status: "rejected", reason: { code: "disk-full" } });
  expect(results[1]).toEqual({ status: "fulfilled", value: { version: 1, seen: ["a"] } });
  expect(results[2]).toMatchObject({ status: "rejected", reason: { code: "disk-full" } });
  store.append = append;
  expect(await pool.with(ann, learn("d"))).toEqual({ status: "ok", seq: 2 });
  expect((await pool.with(ann, look)).seen).toEqual(["a", "d"]);
});

test("users who are used least leave memory first, with a snapshot if they learned enough", async () => {
  const store = openMemoryStore();
  const pool = await openPool(poolOptions(store, { memoryBytes: 3 * 1124 + 50, snapshotOnEviction: 2 }));
  for (let i = 0; i < 4; i++) for (let n = 0; n <= i; n++) await pool.with(user(i), learn(`${i} ${n}`));
  expect(pool.metrics()).toMatchObject({ hotUsers: 3, evictions: 1, snapshots: 0, loads: 4 });
  await pool.with(user(0), look);
  await pool.with(user(2), look);
  await pool.with(user(1), look);
  expect(pool.metrics()).toMatchObject({ hotUsers: 3, evictions: 3, snapshots: 2, loads: 6 });
  expect((await store.load(user(1))).snapshot?.seq).toBe(2);
});

test("a snapshot is kept every few events", async () => {
  const store = openMemoryStore();
  const pool = await openPool(poolOptions(store, { snapshotEvery: 10 }));
  for (let i = 0; i < 25; i++) await pool.with(ann, learn(`${i}`));
  await pool.close();
  const { snapshot, events } = await store.load(ann);
  expect([snapshot?.seq, events.length]).toEqual([20, 5]);
});

test("a full memory makes others leave, and refuses only when all are in use", async () => {
  const room = new Room(2);
  const create = (snapshot: Uint8Array | null) => new ListState(snapshot, room);
  const pool = await openPool(poolOptions(openMemoryStore(), { create }));
  for (let i = 0; i < 5; i++) await pool.with(user(i), learn(`${i}`));
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const pinned = [0, 1].map((i) => pool.with(user(i), () => held));
  await new Promise(setImmediate);
  await expect(pool.with(user(2), look)).rejects.toMatchObject({ code: "memory-full" });
  release();
  await Promise.all(pinned);
  expect(await pool.with(user(2), look)).toEqual({ version: 1, seen: ["2"] });
});

test("a snapshot whose bytes are refused is passed over for an older one", async () => {
  const store = openMemoryStore();
  const events = await fill(store, "ann", 6);
  await store.snapshot(ann, 2, text(JSON.stringify(["1", "2"])));
  await store.snapshot(ann, 4, text("damaged"));
  const pool = await openPool(poolOptions(store));
  const payloads = events.slice(2).map(({ payload }) => new TextDecoder().decode(payload));
  expect((await pool.with(ann, look)).seen).toEqual(["1", "2", ...payloads]);
  expect((await pool.stateAt(ann, 1)).state.seen).toEqual(["payload of ann-1"]);
});

test("a log of other kernels is refused", async () => {
  const store = openMemoryStore();
  await fill(store, "ann", 1);
  const pool = await openPool(poolOptions(store, { kernels: "scalar" }));
  await expect(pool.with(ann, look)).rejects.toMatchObject({ code: "kernels-differ" });
});

test("a version that is asked for is waited for, here and from another process", async () => {
  const places: MemoryPlaces = new Map();
  const open = () => openMemoryStore({ places });
  const [here, there] = [await openPool(poolOptions(open())), await openPool(poolOptions(open()))];
  await here.with(ann, look);
  await there.with(ann, learn("a"));
  expect(await here.with(ann, look)).toEqual({ version: 0, seen: [] });
  expect(await here.with(ann, look, { minVersion: 1 })).toEqual({ version: 1, seen: ["a"] });
  await expect(here.with(ann, look, { minVersion: 9 })).rejects.toMatchObject({ code: "version-ahead" });
  const answers = await Promise.all([here, there, here, there].map((pool, i) => pool.with(ann, learn(`b${i}`))));
  expect(answers.map((answer) => answer.status)).toEqual(["ok", "ok", "ok", "ok"]);
  expect((await here.with(ann, look, { minVersion: 5 })).seen).toHaveLength(5);
});

test("an erased user has nothing; what waits behind the erasure begins anew", async () => {
  const store = openMemoryStore();
  const pool = await openPool(poolOptions(store));
  const before = pool.with(ann, learn("a"));
  const erased = pool.erase(ann);
  const after = pool.with(ann, learn("b"));
  const again = pool.with(ann, learn("a"));
  expect(await before).toEqual({ status: "ok", seq: 1 });
  expect(await erased).toMatchObject({ existed: true, seq: 2, events: 1 });
  expect(await after).toEqual({ status: "ok", seq: 3 });
  expect(await again).toEqual({ status: "erased" });
  expect(await pool.with(ann, look)).toEqual({ version: 3, seen: ["b"] });
});

test("close waits for what is under way, keeps snapshots, and refuses what comes later", async () => {
  const room = new Room(10);
  const store: Store = openMemoryStore();
  const create = (snapshot: Uint8Array | null) => new ListState(snapshot, room);
  const pool = await openPool(poolOptions(store, { create, snapshotOnEviction: 1 }));
  const learned = Array.from({ length: 5 }, (_, i) => pool.with(user(i), learn(`${i}`)));
  await pool.close();
  expect(await Promise.all(learned)).toEqual(learned.map(() => ({ status: "ok", seq: 1 })));
  expect((await store.load(user(3))).snapshot?.seq).toBe(1);
  expect(room.left).toBe(10);
  await expect(pool.with(ann, look)).rejects.toMatchObject({ code: "closed" });
});

test("a turn that is over cannot commit", async () => {
  const pool = await openPool(poolOptions(openMemoryStore()));
  const turn = await pool.with(ann, (each) => each);
  expect(() => turn.commit(click("late"))).toThrow(/has ended/);
});

/** A memory store that two pools share, as two processes share a database, and a clock that both read. */
async function twoProcesses() {
  const clock = { ms: 0 };
  const memory = openMemoryStore();
  const head = vi.fn(async (key: UserKey) => (await memory.load(key)).seq);
  const store = Object.assign(memory, { head });
  const options = poolOptions(store, {
    freshMs: 1000,
    elapsed: () => clock.ms,
    delay: async (ms) => {
      clock.ms += ms;
    },
  });
  return { clock, store, here: await openPool(options), there: await openPool(options) };
}

test("what another process learned is seen once the copy in memory is too old, and not asked for before", async () => {
  const { clock, store, here, there } = await twoProcesses();
  await here.with(ann, learn("a"));
  expect(await there.with(ann, look)).toEqual({ version: 1, seen: ["a"] });
  await here.with(ann, learn("b"));
  clock.ms = 999;
  expect(await there.with(ann, look)).toEqual({ version: 1, seen: ["a"] });
  expect(store.head).not.toHaveBeenCalled();
  clock.ms = 1000;
  expect(await there.with(ann, look)).toEqual({ version: 2, seen: ["a", "b"] });
  expect(store.head).toHaveBeenCalledTimes(1);
  await there.with(ann, look);
  expect(store.head).toHaveBeenCalledTimes(1);
});

test("after the receipt of an erasure no process has the user in memory", async () => {
  const { here, there } = await twoProcesses();
  await here.with(ann, learn("a"));
  await there.with(ann, look);
  await here.erase(ann);
  expect(await there.with(ann, look)).toEqual({ version: 2, seen: [] });
});

test("a copy that nobody can vouch for is not used", async () => {
  const { clock, store, here } = await twoProcesses();
  await here.with(ann, learn("a"));
  clock.ms = 2000;
  const cutOff = new StoreError("io-error", "test", "is cut off", "Wait");
  store.head.mockRejectedValueOnce(cutOff);
  const load = vi.spyOn(store, "load").mockRejectedValueOnce(cutOff);
  await expect(here.with(ann, look)).rejects.toBe(cutOff);
  load.mockRestore();
  expect(await here.with(ann, look)).toEqual({ version: 1, seen: ["a"] });
});

test("turns keep their order where the store is asked before the first of them", async () => {
  const { clock, here, there } = await twoProcesses();
  await here.with(ann, learn("first"));
  clock.ms = 1000;
  await there.with(ann, learn("second"));
  const ids = Array.from({ length: 20 }, (_, i) => `click ${i}`);
  await Promise.all(ids.map((id) => here.with(ann, learn(id))));
  expect((await here.with(ann, look)).seen).toEqual(["first", "second", ...ids]);
});
