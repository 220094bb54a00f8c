import { describe, expect, test } from "vitest";
import { StoreError } from "../base/errors.js";
import { type TenantId, userKey } from "./keys.js";
import { collect, fill, sampleEvent, storedOf, text } from "./samples.test-support.js";
import type { Store } from "./store.js";

/** A home under test: places that stores are opened at, one after the other. */
export interface Home {
  /** Opens the store at a place; the same place again has what was stored there. */
  open(place: string): Promise<Store>;
  /** A place where nothing is. */
  newPlace(): string;
  /** What an erasure leaves behind here; nothing by default. */
  readonly remains?: readonly string[];
}

const TENANT = "tenant" as TenantId;
const ann = userKey("tenant", "ann");
const bob = userKey("tenant", "bob");

/** Checks a store, and checks it again after a restart. */
async function both(store: Store, reopen: () => Promise<Store>, check: (store: Store) => Promise<void>): Promise<void> {
  await check(store);
  await check(await reopen());
}

/** What every home must do, whatever it is made of. */
export function describeHome(name: string, home: Home): void {
  const withStore = async (run: (store: Store, reopen: () => Promise<Store>) => Promise<void>): Promise<void> => {
    const place = home.newPlace();
    let store = await home.open(place);
    const reopen = async () => {
      await store.close();
      store = await home.open(place);
      return store;
    };
    try {
      await run(store, reopen);
    } finally {
      await store.close();
    }
  };
  const cases = (title: string, run: (store: Store, reopen: () => Promise<Store>) => Promise<void>) =>
    test(title, () => withStore(run));

  describe(`${name}: log`, () => {
    cases("numbers events of each user and gives them back, after a restart too", async (store, reopen) => {
      const batch = [sampleEvent("ann", "a", 0), sampleEvent("bob", "b", 0), sampleEvent("ann", "c", 1)];
      expect(await store.append(batch)).toEqual([
        { status: "ok", seq: 1 },
        { status: "ok", seq: 1 },
        { status: "ok", seq: 2 },
      ]);
      await both(store, reopen, async (each) => {
        expect(await each.load(ann)).toEqual({
          seq: 2,
          start: 0,
          snapshot: null,
          events: [storedOf(batch[0]!), storedOf(batch[2]!)],
        });
        expect(await collect(each.export(bob))).toEqual([storedOf(batch[1]!)]);
      });
    });

    cases("keeps bytes of every kind, none and many", async (store, reopen) => {
      const bytes = Uint8Array.from({ length: 70_000 }, (_, i) => i % 251);
      const event = sampleEvent("änn 🙂", "ü", 0, { payload: new Uint8Array(0), source: bytes, answer: "" });
      await store.append([event]);
      expect((await (await reopen()).load(event.key)).events).toEqual([storedOf(event)]);
    });

    cases("does not keep the caller's own memory", async (store) => {
      const event = sampleEvent("ann", "a", 0, { payload: text("before") });
      await store.append([event]);
      event.payload.fill(0);
      expect((await store.load(ann)).events[0]!.payload).toEqual(text("before"));
    });

    cases("an event that expects another seq conflicts, and so do those of its user behind it", async (store) => {
      await fill(store, "ann", 3);
      const batch = [sampleEvent("ann", "x", 2), sampleEvent("ann", "y", 3), sampleEvent("bob", "z", 0)];
      expect(await store.append(batch)).toEqual([
        { status: "conflict", seq: 3 },
        { status: "conflict", seq: 3 },
        { status: "ok", seq: 1 },
      ]);
      expect(await store.append([sampleEvent("ann", "ann-1", 3), sampleEvent("ann", "y", 3)])).toMatchObject([
        { status: "duplicate" },
        { status: "conflict", seq: 3 },
      ]);
      expect(await store.append([sampleEvent("ann", "x", 4), sampleEvent("ann", "ann-2", 3)])).toMatchObject([
        { status: "conflict", seq: 3 },
        { status: "duplicate" },
      ]);
      expect(await store.append([sampleEvent("ann", "z2", 3)])).toEqual([{ status: "ok", seq: 4 }]);
      expect((await store.load(ann)).events.map(({ id }) => id)).toEqual(["ann-1", "ann-2", "ann-3", "z2"]);
    });

    cases("an id counts once, whatever else comes with it", async (store, reopen) => {
      await fill(store, "ann", 1);
      const first = { status: "duplicate", user: "ann", seq: 1, answer: "answer of ann-1" };
      await both(store, reopen, async (each) => {
        const again = sampleEvent("ann", "ann-1", 1);
        const late = sampleEvent("ann", "ann-1", 0, { answer: "another", payload: text("another"), time: 5 });
        const other = sampleEvent("ann", "ann-1", 1, { source: text("another click") });
        const stolen = sampleEvent("bob", "ann-1", 0);
        expect(await each.append([again, late, other, stolen])).toEqual([
          { ...first, same: true },
          { ...first, same: true },
          { ...first, same: false },
          { ...first, same: false },
        ]);
        expect(await each.find(ann, "ann-1", again.source)).toEqual({ ...first, same: true });
        expect(await each.find(ann, "ann-2", again.source)).toBeNull();
      });
      const twice = sampleEvent("ann", "twice", 1);
      const again = await reopen();
      expect((await again.append([twice, { ...twice, expectedSeq: 2 }]))[1]).toMatchObject({
        status: "duplicate",
        seq: 2,
      });
    });

    cases("tenants do not meet", async (store) => {
      await fill(store, "ann", 2);
      const other = userKey("other", "ann");
      expect(await store.append([{ ...sampleEvent("ann", "ann-1", 0), key: other }])).toEqual([
        { status: "ok", seq: 1 },
      ]);
      expect(await store.find(other, "ann-2", text("source of ann-2"))).toBeNull();
      expect((await store.load(other)).seq).toBe(1);
      expect((await store.users("other" as TenantId)).users).toHaveLength(1);
      await store.erase(other);
      expect((await store.load(ann)).seq).toBe(2);
    });

    cases("a user who is not known has nothing, and stays unknown when read", async (store) => {
      const nobody = { seq: 0, start: 0, snapshot: null, events: [] };
      expect(await store.load(ann)).toEqual(nobody);
      expect(await store.snapshot(ann, 1, text("x"))).toBe(false);
      expect(await collect(store.export(ann))).toEqual([]);
      expect((await store.users(TENANT)).users).toEqual([]);
    });

    cases("batches that are appended at once keep their order", async (store) => {
      const batches = Array.from({ length: 40 }, (_, i) => [sampleEvent("ann", `id-${i}`, i)]);
      const outcomes = await Promise.all(batches.map((batch) => store.append(batch)));
      expect(outcomes.flat()).toEqual(batches.map((_, i) => ({ status: "ok", seq: i + 1 })));
    });
  });

  describe(`${name}: snapshots`, () => {
    cases("load gives the newest snapshot and the events after it", async (store, reopen) => {
      const events = await fill(store, "ann", 5);
      expect(await store.snapshot(ann, 2, text("two"))).toBe(true);
      expect(await store.snapshot(ann, 4, text("four"))).toBe(true);
      const again = await reopen();
      expect(await again.load(ann)).toEqual({
        seq: 5,
        start: 0,
        snapshot: { seq: 4, bytes: text("four") },
        events: events.slice(4),
      });
      expect((await again.load(ann, { snapshotBefore: 4 })).snapshot).toEqual({ seq: 2, bytes: text("two") });
      expect((await again.load(ann, { snapshotBefore: 2 })).snapshot).toBeNull();
      expect(await again.load(ann, { at: 3 })).toEqual({
        seq: 3,
        start: 0,
        snapshot: { seq: 2, bytes: text("two") },
        events: [events[2]],
      });
      expect(await again.load(ann, { at: 0 })).toEqual({ seq: 0, start: 0, snapshot: null, events: [] });
    });

    cases("they go forward only, and the two newest are kept", async (store) => {
      await fill(store, "ann", 6);
      expect(await store.snapshot(ann, 7, text("ahead"))).toBe(false);
      expect(await store.snapshot(ann, 0, text("nothing"))).toBe(false);
      for (const seq of [2, 4, 6]) expect(await store.snapshot(ann, seq, text(`${seq}`))).toBe(true);
      expect(await store.snapshot(ann, 6, text("again"))).toBe(false);
      expect(await store.snapshot(ann, 5, text("5"))).toBe(false);
      expect((await store.load(ann, { snapshotBefore: 6 })).snapshot?.seq).toBe(4);
      expect((await store.load(ann, { snapshotBefore: 4 })).snapshot).toBeNull();
    });

    cases("compacting removes what two snapshots stand for", async (store) => {
      await fill(store, "ann", 6);
      const options = { eventsBefore: 2_000_000, idsBefore: 0 };
      expect(await store.compact(options)).toEqual({ events: 0, ids: 0 });
      await store.snapshot(ann, 2, text("2"));
      expect(await store.compact(options)).toEqual({ events: 0, ids: 0 });
      await store.snapshot(ann, 5, text("5"));
      expect(await store.compact({ ...options, eventsBefore: 1_000_001 })).toEqual({ events: 1, ids: 0 });
      expect(await store.compact(options)).toEqual({ events: 1, ids: 0 });
      expect((await store.load(ann)).events.map(({ seq }) => seq)).toEqual([6]);
      expect((await store.load(ann, { snapshotBefore: 5 })).events.map(({ seq }) => seq)).toEqual([3, 4, 5, 6]);
      await expect(store.load(ann, { at: 1 })).rejects.toMatchObject({ code: "compacted" });
      expect(await store.find(ann, "ann-1", text("source of ann-1"))).toMatchObject({ same: true, seq: 1 });
      expect(await store.compact({ eventsBefore: 0, idsBefore: 1_000_002 })).toEqual({ events: 0, ids: 2 });
      expect(await store.find(ann, "ann-2", text("source of ann-2"))).toBeNull();
      expect(await store.find(ann, "ann-3", text("source of ann-3"))).not.toBeNull();
    });
  });

  describe(`${name}: erasure`, () => {
    cases("removes everything, and what was prepared before it cannot come back", async (store, reopen) => {
      await fill(store, "ann", 3);
      await fill(store, "bob", 2);
      await store.snapshot(ann, 2, text("state"));
      expect(await store.erase(ann)).toEqual({
        existed: true,
        seq: 4,
        events: 3,
        snapshots: 1,
        remains: home.remains ?? [],
      });
      await both(store, reopen, async (each) => {
        expect(await each.load(ann)).toEqual({ seq: 4, start: 4, snapshot: null, events: [] });
        expect(await each.append([sampleEvent("ann", "late", 3)])).toEqual([{ status: "conflict", seq: 4 }]);
        expect(await each.append([sampleEvent("ann", "ann-2", 4)])).toEqual([{ status: "erased" }]);
        expect(await each.snapshot(ann, 3, text("late"))).toBe(false);
        expect((await each.users(TENANT)).users.map(({ user }) => user)).toEqual(["bob"]);
        expect(await each.erase(ann)).toEqual({ existed: false, seq: 4, events: 0, snapshots: 0, remains: [] });
      });
    });

    cases("the same name may begin again, as somebody new", async (store, reopen) => {
      await fill(store, "ann", 2);
      await store.erase(ann);
      const event = sampleEvent("ann", "new", 3);
      expect(await store.append([event])).toEqual([{ status: "ok", seq: 4 }]);
      const again = await reopen();
      expect(await again.load(ann)).toEqual({ seq: 4, start: 3, snapshot: null, events: [storedOf(event)] });
      await expect(again.load(ann, { at: 2 })).rejects.toMatchObject({ code: "invalid-argument" });
      expect((await again.erase(ann)).seq).toBe(5);
      expect((await again.load(ann)).start).toBe(5);
    });
  });

  describe(`${name}: the rest`, () => {
    cases("lists users in pages", async (store) => {
      const names = Array.from({ length: 25 }, (_, i) => `user ${String(i).padStart(2, "0")}`);
      await store.append(names.map((user) => sampleEvent(user, user, 0, { time: 7 })));
      const seen: string[] = [];
      let cursor: string | null = null;
      do {
        const page = await store.users(TENANT, { limit: 10, ...(cursor !== null && { cursor }) });
        expect(page.users[0]).toEqual({ user: page.users[0]!.user, seq: 1, updated: 7 });
        seen.push(...page.users.map(({ user }) => user));
        cursor = page.cursor;
      } while (cursor !== null);
      expect(seen).toEqual(names);
    });

    test("a backup opens, as of one moment", async () => {
      const [place, copy] = [home.newPlace(), home.newPlace()];
      const store = await home.open(place);
      const events = await fill(store, "ann", 3);
      await store.snapshot(ann, 2, text("2"));
      await store.backup(copy);
      await fill(store, "ann", 1, 3);
      const other = await home.open(copy);
      expect(await other.load(ann)).toMatchObject({ seq: 3, snapshot: { seq: 2 }, events: [events[2]] });
      expect(await other.append([sampleEvent("ann", "ann-1", 3)])).toMatchObject([{ status: "duplicate", same: true }]);
      await other.close();
      await store.close();
    });

    cases("refuses what no home can store, and stores nothing of the batch", async (store) => {
      const bad = [
        { expectedSeq: -1 },
        { expectedSeq: 1.5 },
        { time: Number.NaN },
        { id: "" },
        { id: "a\0b" },
        { id: "\ud800" },
        { id: "x".repeat(257) },
        { payload: "text" as unknown as Uint8Array },
        { answer: "x".repeat(5000) },
      ];
      for (const part of bad) {
        const batch = [sampleEvent("ann", "good", 0), sampleEvent("ann", "bad", 1, part)];
        await expect(store.append(batch)).rejects.toMatchObject({ code: "invalid-argument" });
      }
      await expect(store.users(TENANT, { limit: 0 })).rejects.toMatchObject({ code: "invalid-argument" });
      await expect(store.load(ann, { at: 1 })).rejects.toMatchObject({ code: "invalid-argument" });
      expect((await store.load(ann)).seq).toBe(0);
    });

    cases("after close, every call is refused", async (store) => {
      await fill(store, "ann", 1);
      await store.close();
      const calls = [
        () => store.append([]),
        () => store.load(ann),
        () => store.find(ann, "a", text("a")),
        () => store.snapshot(ann, 1, text("a")),
        () => store.erase(ann),
        () => collect(store.export(ann)),
        () => store.users(TENANT),
        () => store.compact({ eventsBefore: 0, idsBefore: 0 }),
        () => store.backup(home.newPlace()),
      ];
      for (const call of calls) await expect(call()).rejects.toBeInstanceOf(StoreError);
      await store.close();
    });
  });
}
