import fc from "fast-check";
import { expect, test } from "vitest";
import type { Home } from "./conformance.test-support.js";
import { type TenantId, type UserKey, userKey } from "./keys.js";
import { collect, sampleEvent, text } from "./samples.test-support.js";
import type { Store } from "./store.js";

type Call =
  | { readonly do: "append"; readonly events: readonly Draft[]; readonly split: boolean }
  | { readonly do: "snapshot"; readonly user: number; readonly back: number }
  | { readonly do: "erase"; readonly user: number }
  | { readonly do: "compact"; readonly events: number; readonly ids: number }
  | { readonly do: "reopen" }
  | { readonly do: "look"; readonly user: number; readonly back: number };

interface Draft {
  readonly user: number;
  readonly id: number;
  /** How far `expectedSeq` is from the truth. */
  readonly off: number;
  readonly source: number;
}

const USERS = [userKey("tenant", "ann"), userKey("tenant", "bob"), userKey("other", "ann")];
const user = fc.nat(USERS.length - 1);
const draft = fc.record({
  user,
  id: fc.nat(40),
  off: fc.constantFrom(0, 0, 0, 0, 0, -1, 1),
  source: fc.nat(5).map((n) => Math.max(0, n - 4)),
});
const call: fc.Arbitrary<Call> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("append" as const),
      events: fc.array(draft, { maxLength: 6 }),
      split: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("snapshot" as const), user, back: fc.integer({ min: -1, max: 3 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("erase" as const), user }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("compact" as const), events: fc.nat(60), ids: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reopen" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("look" as const), user, back: fc.nat(6) }) },
);

/** Random calls on a home and on the memory store, which is simple enough to be the model: they answer alike. */
export function testAgainstModel(name: string, home: Home, openModel: () => Store, sequences: number): void {
  test(`${name}: ${sequences} random sequences of calls, as the model answers them`, {
    timeout: 60_000 + 300 * sequences,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(call, { maxLength: 30 }), async (calls) => {
        const run = new Run(home, openModel());
        await run.open();
        try {
          for (const each of calls) await run.perform(each);
          for (const key of USERS) await run.compareUser(key);
        } finally {
          await run.close();
        }
      }),
      { numRuns: sequences },
    );
  });
}

class Run {
  readonly #home: Home;
  readonly #model: Store;
  readonly #place: string;
  #store!: Store;
  #clock = 0;

  constructor(home: Home, model: Store) {
    this.#home = home;
    this.#model = model;
    this.#place = home.newPlace();
  }

  async open(): Promise<void> {
    this.#store = await this.#home.open(this.#place);
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  async perform(each: Call): Promise<void> {
    switch (each.do) {
      case "append":
        return this.#append(each.events, each.split);
      case "snapshot": {
        const key = USERS[each.user]!;
        const seq = Math.max(0, (await this.#model.load(key)).seq - each.back);
        return this.#both((store) => store.snapshot(key, seq, text(`${key.user} at ${seq}`)));
      }
      case "erase":
        return this.#both(async (store) => ({ ...(await store.erase(USERS[each.user]!)), remains: [] }));
      case "compact":
        return this.#both((store) => store.compact({ eventsBefore: each.events, idsBefore: each.ids }));
      case "reopen":
        await this.close();
        return this.open();
      case "look": {
        const key = USERS[each.user]!;
        const { seq } = await this.#model.load(key);
        await this.#both((store) => store.load(key, { at: Math.max(0, seq - each.back) }));
        return this.#both((store) => store.load(key, { snapshotBefore: Math.max(0, seq - each.back) }));
      }
    }
  }

  async #append(drafts: readonly Draft[], split: boolean): Promise<void> {
    const next = new Map<UserKey, number>();
    for (const key of USERS) next.set(key, (await this.#model.load(key)).seq);
    const batch = drafts.map(({ user, id, off, source }) => {
      const key = USERS[user]!;
      const expectedSeq = Math.max(0, next.get(key)! + off);
      if (off === 0) next.set(key, expectedSeq + 1);
      return sampleEvent("ann", `${id}`, expectedSeq, { key, time: this.#clock++, source: text(`${id} ${source}`) });
    });
    if (!split) return this.#both((store) => store.append(batch));
    return this.#both((store) => Promise.all(batch.map((event) => store.append([event]))));
  }

  async compareUser(key: UserKey): Promise<void> {
    await this.#both((store) => store.load(key));
    await this.#both((store) => collect(store.export(key)));
    await this.#both((store) => store.users(key.tenant as TenantId, { limit: 1 }));
    for (let id = 0; id <= 40; id += 7) await this.#both((store) => store.find(key, `${id}`, text(`${id} 0`)));
  }

  async #both(call: (store: Store) => Promise<unknown>): Promise<void> {
    const [expected, found] = [await outcomeOf(call(this.#model)), await outcomeOf(call(this.#store))];
    expect(found).toEqual(expected);
  }
}

async function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    return { value: await promise };
  } catch (error) {
    return { refused: (error as { code: string }).code };
  }
}
