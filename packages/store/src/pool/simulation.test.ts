import fc from "fast-check";
import { expect, test } from "vitest";
import { StoreError } from "../base/errors.js";
import { type UserKey, userKey } from "../contract/keys.js";
import { collect } from "../contract/samples.test-support.js";
import type { Store } from "../contract/store.js";
import { type MemoryPlaces, openMemoryStore } from "../memory/memory-store.js";
import { openPool, type Pool } from "./pool.js";
import { click, type ListState, look, poolOptions } from "./pool.test-support.js";

/** Seeds that are tried; `SEEDS` asks for more. */
const SEEDS = Number(process.env.SEEDS ?? 500);

const KEYS = [userKey("tenant", "ann"), userKey("tenant", "bob"), userKey("tenant", "cy")];

type Act =
  | { readonly do: "learn"; readonly user: number; readonly ids: readonly number[]; readonly pool: number }
  | { readonly do: "look"; readonly user: number; readonly pool: number; readonly own: boolean }
  | { readonly do: "erase"; readonly user: number; readonly pool: number };

/** How a call on the store ends: well, not done, done but not told, or never since the process died. */
type Fate = "well" | "well" | "well" | "well" | "well" | "well" | "lost" | "in doubt";

const user = fc.nat(KEYS.length - 1);
const pool = fc.nat(2);
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("learn" as const),
      user,
      pool,
      ids: fc.array(fc.nat(25), { minLength: 1, maxLength: 3 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("look" as const), user, pool, own: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("erase" as const), user, pool }) },
);
const fates = fc.infiniteStream(
  fc.constantFrom<Fate>("well", "well", "well", "well", "well", "well", "well", "well", "lost", "in doubt"),
);

/** A store whose calls take effect, and are answered, when the scheduler says so; some fail before their effect, some after. */
function scheduled(store: Store, s: fc.Scheduler, nextFate: () => Fate): Store {
  const failing = { append: true, load: true, find: true, head: true, snapshot: true, erase: true } as const;
  return new Proxy(store, {
    get(target, name: keyof Store) {
      if (!(name in failing)) return Reflect.get(target, name)?.bind(target);
      return async (...args: unknown[]) => {
        const fate = nextFate();
        await s.schedule(Promise.resolve(), `${name} arrives`);
        if (fate === "lost") throw new StoreError("disk-full", "simulation", "is full", "Make room");
        const value = await (target[name as keyof typeof failing]! as (...args: unknown[]) => Promise<unknown>)(
          ...args,
        );
        await s.schedule(Promise.resolve(), `${name} answers`);
        if (fate === "in doubt") throw new StoreError("io-error", "simulation", "is in doubt", "Ask");
        return value;
      };
    },
  });
}

/** One process's way to a store that several have open. */
function shared(places: MemoryPlaces): Store {
  const store = openMemoryStore({ places });
  return Object.assign(store, { head: async (key: UserKey) => (await store.load(key)).seq });
}

interface Seen {
  readonly key: UserKey;
  readonly version: number;
  readonly seen: readonly string[];
}

class Simulation {
  readonly acked: { readonly key: UserKey; readonly id: string; readonly seq: number }[] = [];
  readonly seen: Seen[] = [];
  readonly erased: { readonly key: UserKey; readonly seq: number }[] = [];
  readonly #pools: Pool<ListState>[];

  constructor(pools: Pool<ListState>[]) {
    this.#pools = pools;
  }

  async perform(each: Act): Promise<void> {
    const key = KEYS[each.user]!;
    const chosen = this.#pools[each.pool]!;
    try {
      if (each.do === "learn") await this.#learn(chosen, key, each.ids);
      else if (each.do === "look") await this.#look(chosen, key, each.own);
      else this.erased.push({ key, seq: (await chosen.erase(key)).seq });
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      expect(["disk-full", "io-error", "version-ahead", "contended"]).toContain(error.code);
    }
  }

  async #learn(chosen: Pool<ListState>, key: UserKey, ids: readonly number[]): Promise<void> {
    const names = ids.map((id) => `${key.user} ${id}`);
    const { outcomes, ...seen } = await chosen.with(key, (turn) => {
      const outcomes = names.map((id) => turn.commit(click(id)));
      return { outcomes, ...look(turn) };
    });
    this.seen.push({ key, ...seen });
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.status !== "erased") this.acked.push({ key, id: names[i]!, seq: outcome.seq });
    }
  }

  /** Reads; if asked to, not before what was acknowledged so far. */
  async #look(chosen: Pool<ListState>, key: UserKey, own: boolean): Promise<void> {
    const acked = this.acked.filter((each) => each.key === key).map(({ seq }) => seq);
    const minVersion = own ? Math.max(0, ...acked) : 0;
    const seen = await chosen.with(key, look, { minVersion });
    expect(seen.version).toBeGreaterThanOrEqual(minVersion);
    this.seen.push({ key, ...seen });
  }
}

test(
  `three pools over one store, ${SEEDS} schedules: nothing acknowledged is lost, learned twice, or seen before it is stored`,
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(act, { maxLength: 14 }), fates, async (s, acts, stream) => {
        const places: MemoryPlaces = new Map();
        const truth = openMemoryStore({ places });
        const nextFate = () => stream.next().value as Fate;
        let clock = 0;
        const options = {
          snapshotEvery: 3,
          snapshotOnEviction: 1,
          memoryBytes: 2500,
          freshMs: 3,
          elapsed: () => clock++,
        };
        const pools = await Promise.all(
          [0, 1, 2].map(() => openPool(poolOptions(scheduled(shared(places), s, nextFate), options))),
        );
        const simulation = new Simulation(pools);
        const done = Promise.all(acts.map((each) => simulation.perform(each)));
        await s.waitFor(done);
        for (const key of KEYS) await checkUser(simulation, truth, key);
      }),
      { numRuns: SEEDS },
    );
  },
  60_000 + SEEDS * 20,
);

async function checkUser(simulation: Simulation, truth: Store, key: UserKey): Promise<void> {
  const { seq: last, start } = await truth.load(key);
  const log = await collect(truth.export(key));
  expect(log.map(({ seq }) => seq)).toEqual(log.map((_, i) => start + 1 + i));
  expect(last).toBe(start + log.length);
  const ids = log.map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const { id, seq } of simulation.acked.filter((each) => each.key === key)) {
    if (seq > start) expect(log.find((event) => event.id === id)?.seq).toBe(seq);
  }
  for (const { version, seen } of simulation.seen.filter((each) => each.key === key)) {
    if (version - seen.length === start) expect(seen).toEqual(ids.slice(0, version - start));
  }
  const pool = await openPool(poolOptions(truth));
  expect(await pool.with(key, look)).toEqual({ version: last, seen: ids });
}
