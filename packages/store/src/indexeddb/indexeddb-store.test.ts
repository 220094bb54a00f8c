import "fake-indexeddb/auto";
import { expect, test } from "vitest";
import { describeHome, type Home } from "../contract/conformance.test-support.js";
import { userKey } from "../contract/keys.js";
import { fill, text } from "../contract/samples.test-support.js";
import { testAgainstModel } from "../contract/stateful.test-support.js";
import { openMemoryStore } from "../memory/memory-store.js";
import { openIndexedDbStore } from "./indexeddb-store.js";
import { openTables } from "./tables.js";

/** Web Locks as far as the store uses them; Node 20 has none. */
class Locks {
  readonly #held = new Map<string, Promise<unknown>>();

  async request(name: string, options: LockOptions, run: (lock: Lock | null) => unknown): Promise<unknown> {
    while (this.#held.has(name)) {
      if (options.ifAvailable === true) return run(null);
      await this.#held.get(name);
    }
    const result = Promise.resolve(run({ name, mode: "exclusive" }));
    this.#held.set(name, result);
    return result.finally(() => this.#held.delete(name));
  }
}

const SEQUENCES = Number(process.env.STATEFUL ?? 50);
const locks = new Locks() as unknown as Pick<LockManager, "request">;
const open = (name: string) => openIndexedDbStore(name, { locks });
let count = 0;
const home: Home = {
  open,
  newPlace: () => `database ${count++}`,
  remains: ["the browser's own files, until it compacts them"],
};

describeHome("IndexedDB", home);
testAgainstModel("IndexedDB", home, openMemoryStore, SEQUENCES);

test("a second tab is refused, or waits until the first one closes", async () => {
  const name = home.newPlace();
  const first = await open(name);
  await expect(open(name)).rejects.toMatchObject({ code: "in-use" });
  const second = openIndexedDbStore(name, { locks, wait: true });
  await fill(first, "ann", 1);
  await first.close();
  expect((await (await second).load(userKey("tenant", "ann"))).seq).toBe(1);
  await (await second).close();
});

test("rows that changed on disk are found, and snapshots passed over", async () => {
  const name = home.newPlace();
  const ann = userKey("tenant", "ann");
  const store = await open(name);
  await fill(store, "ann", 4);
  for (const seq of [2, 3]) await store.snapshot(ann, seq, text(`${seq}`));
  const tables = await openTables(name);
  const snapshot = (await tables.get("snapshots", [1, 3]))!;
  await tables.put("snapshots", { ...snapshot, bytes: text("4") }, [1, 3]);
  expect((await store.load(ann)).snapshot).toEqual({ seq: 2, bytes: text("2") });
  const event = (await tables.get("events", [1, 4]))!;
  await tables.put("events", { ...event, answer: "another" }, [1, 4]);
  await expect(store.load(ann)).rejects.toMatchObject({ code: "corrupt-store" });
  await tables.delete("events", [1, 3]);
  await tables.put("events", event, [1, 4]);
  await expect(store.load(ann)).rejects.toMatchObject({ code: "corrupt-store" });
  tables.close();
  await store.close();
});
