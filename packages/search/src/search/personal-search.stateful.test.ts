import { type MemoryPlaces, openMemoryStore, type Store } from "@microlora/store";
import fc from "fast-check";
import { EmbeddingIndex, Personalizer } from "microlora";
import { expect, test } from "vitest";
import type { Deed } from "../users/event.js";
import type { PersonalHit } from "./options.js";
import { PersonalSearch } from "./personal-search.js";
import { embedWords, WORDS } from "./search.test-support.js";

const RUNS = Number(process.env.SEARCH_RUNS ?? 60);
const REMEMBER = 4;
const USERS = ["ann", "bob", "default"];
const embedder = { fingerprint: "words", embed: async (text: string) => embedWords(text) };

type Hit = PersonalHit<number, string>;
type Act =
  | { readonly do: "search"; readonly user: number; readonly text: string; readonly k: number; readonly even: boolean }
  | { readonly do: "click" | "rate" | "skip"; readonly back: number; readonly place: number; readonly rating: number }
  | { readonly do: "learn"; readonly user: number; readonly text: string; readonly rating: number }
  | { readonly do: "add"; readonly texts: readonly string[]; readonly taken: boolean }
  | { readonly do: "remove"; readonly place: number }
  | { readonly do: "forget"; readonly user: number }
  | { readonly do: "reopen" };

const text = fc.array(fc.constantFrom(...WORDS), { maxLength: 3 }).map((words) => words.join(" "));
const user = fc.nat(USERS.length - 1);
const rating = fc.constantFrom(-1, -0.5, 0.25, 1);
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("search" as const),
      user,
      text,
      k: fc.integer({ min: 1, max: 6 }),
      even: fc.boolean(),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constantFrom("click" as const, "click" as const, "rate" as const, "skip" as const),
      back: fc.nat(REMEMBER + 1),
      place: fc.nat(5),
      rating,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("learn" as const), user, text, rating }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("add" as const),
      texts: fc.array(text, { maxLength: 3 }),
      taken: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), place: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("forget" as const), user }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reopen" as const) }) },
);

/** What a search is to do, put together by hand from `Personalizer` and `EmbeddingIndex`, which learn at once and store nothing. */
class Model {
  index!: EmbeddingIndex<number, string>;
  readonly users = new Map<string, Personalizer>();
  readonly told = new Map<string, string[]>();
  readonly documents = new Map<number, string>();
  recent: { readonly user: string; readonly text: string; readonly hits: readonly Hit[] }[] = [];
  readonly done = new Set<string>();

  async rebuild(): Promise<void> {
    this.index?.close();
    const { runtime } = await this.user(USERS[0]!);
    this.index = await EmbeddingIndex.create([], { dimensions: 16, runtime });
    for (const [id, name] of this.documents) this.index.add(id, embedWords(name), name);
  }

  async user(name: string): Promise<Personalizer> {
    const known = this.users.get(name) ?? (await Personalizer.create({ dimensions: 16, kernels: "simd" }));
    this.users.set(name, known);
    return known;
  }

  async search(name: string, query: string, k: number, filter: ((id: number) => boolean) | undefined) {
    if (query === "") return [];
    const options = filter === undefined ? {} : { filter };
    return (await this.user(name)).search(embedWords(query), this.index, k, options);
  }

  /** @returns the code of a refusal */
  async learn(name: string, query: string, deed: Deed<number>): Promise<string | null> {
    const needed = deed.kind === "click" ? deed.chosen : deed.kind === "rate" ? deed.item : null;
    if (needed !== null && !this.index.has(needed)) return "unknown-document";
    const there = deed.kind === "rate" ? [] : deed.shown.filter((id) => this.index.has(id));
    if (deed.kind === "skip" && there.length === 0) return "nothing-to-learn-from";
    const personalizer = await this.user(name);
    const base = { query: embedWords(query), index: this.index };
    if (deed.kind === "rate") personalizer.learn({ ...base, rating: deed.rating, item: deed.item });
    else if (deed.kind === "skip") personalizer.learn({ ...base, chosen: null, shown: there });
    else if (there.length === 1) personalizer.learn({ ...base, chosen: deed.chosen });
    else personalizer.learn({ ...base, chosen: deed.chosen, shown: there });
    const told = this.told.get(name) ?? [];
    this.told.set(name, [...told, `${deed.kind} ${query} ${needed}`]);
    return null;
  }

  close(): void {
    this.index.close();
    for (const personalizer of this.users.values()) personalizer.close();
  }
}

class Run {
  readonly #model = new Model();
  readonly #places: MemoryPlaces = new Map();
  #store!: Store;
  #search!: PersonalSearch<number, string>;
  #nextId = 0;

  async open(): Promise<void> {
    await this.#model.rebuild();
    this.#store = openMemoryStore({ places: this.#places });
    this.#search = await PersonalSearch.create<number, string>({
      documents: [...this.#model.documents].map(([id, name]) => ({ id, text: name, payload: name })),
      embedder,
      store: this.#store,
      remember: REMEMBER,
      memoryBytes: 20_000,
    });
    this.#model.recent = [];
  }

  async close(): Promise<void> {
    await this.#search.close();
    await this.#store.close();
  }

  end(): void {
    this.#model.close();
  }

  async perform(each: Act): Promise<void> {
    switch (each.do) {
      case "search":
        return this.#find(USERS[each.user]!, each.text, each.k, each.even);
      case "click":
      case "rate":
      case "skip":
        return this.#react(each.do, each);
      case "learn":
        return this.#learn(USERS[each.user]!, each.text, each.rating);
      case "add":
        return this.#add(each.texts, each.taken);
      case "remove": {
        const id = [...this.#model.documents.keys()][each.place] ?? -1;
        expect(await this.#search.remove(id)).toBe(this.#model.index.remove(id) ? 1 : 0);
        this.#model.documents.delete(id);
        return;
      }
      case "forget":
        return this.#forget(USERS[each.user]!);
      case "reopen":
        await this.close();
        return this.open();
    }
  }

  async compare(): Promise<void> {
    for (const name of USERS) {
      await this.#find(name, "orange phone", 9, false);
      const events = await this.#search.export(name);
      const told = events.map((event) => {
        const of = event.kind === "click" ? event.chosen : event.kind === "rate" ? event.item : null;
        return `${event.kind} ${event.query} ${of}`;
      });
      expect(told).toEqual(this.#model.told.get(name) ?? []);
    }
  }

  async #find(name: string, query: string, k: number, even: boolean): Promise<void> {
    const filter = even ? (id: number) => id % 2 === 0 : undefined;
    const hits = await this.#search.search(query, { user: name, k, ...(filter !== undefined && { filter }) });
    const expected = await this.#model.search(name, query, k, filter);
    expect(hits.map(({ search: _, ...hit }) => hit)).toEqual(expected);
    this.#model.recent = [...this.#model.recent, { user: name, text: query, hits }].slice(-REMEMBER);
  }

  async #react(kind: "click" | "rate" | "skip", each: { back: number; place: number; rating: number }): Promise<void> {
    const search = this.#model.recent.at(-1 - each.back);
    if (search === undefined) return this.#refused(this.#search.click({ search: "gone", id: 1 }), "unknown-search");
    const { hits, user: name, text: query } = search;
    const hit = hits[each.place];
    if (hit === undefined) return;
    const shown = hits.map(({ id }) => id);
    const deeds: { readonly [Kind in Deed["kind"]]: Deed<number> } = {
      click: { kind: "click", chosen: hit.id, shown },
      rate: { kind: "rate", item: hit.id, rating: each.rating },
      skip: { kind: "skip", shown },
    };
    const calls = {
      click: () => this.#search.click({ search: hit.search, id: hit.id }),
      rate: () => this.#search.rate(hit, each.rating),
      skip: () => this.#search.skip(hits),
    };
    const name_ = { click: `${hit.id}`, rate: `${hit.id} ${each.rating}`, skip: "" }[kind];
    const what = `${hit.search} ${kind} ${name_}`;
    if (this.#model.done.has(what)) {
      const outcome = await calls[kind]().catch((error: { code: string }) => error.code);
      if (typeof outcome !== "string") expect(outcome.learned).toBe(false);
      else expect(["unknown-document", "nothing-to-learn-from"]).toContain(outcome);
      return;
    }
    const refusal = await this.#model.learn(name, query, deeds[kind]);
    if (refusal !== null) return this.#refused(calls[kind](), refusal);
    this.#model.done.add(what);
    expect((await calls[kind]()).learned).toBe(true);
  }

  async #learn(name: string, query: string, value: number): Promise<void> {
    const item = [...this.#model.documents.keys()][0];
    if (item === undefined || query === "") return;
    await this.#model.learn(name, query, { kind: "rate", item, rating: value });
    await this.#search.learn({ kind: "rate", query, user: name, item, rating: value });
  }

  async #add(texts: readonly string[], taken: boolean): Promise<void> {
    const known = [...this.#model.documents.keys()][0];
    const documents = texts.map((name) => ({ id: this.#nextId++, text: name, payload: name }));
    if (taken && known !== undefined) {
      const refused = [...documents, { id: known, text: "again" }];
      return this.#refused(this.#search.add(refused), "duplicate-document");
    }
    await this.#search.add(documents);
    for (const { id, text: name } of documents) {
      this.#model.documents.set(id, name);
      this.#model.index.add(id, embedWords(name), name);
    }
  }

  async #forget(name: string): Promise<void> {
    await this.#search.forget(name);
    this.#model.users.get(name)?.close();
    this.#model.users.delete(name);
    this.#model.told.delete(name);
    this.#model.recent = this.#model.recent.filter((search) => search.user !== name);
  }

  async #refused(promise: Promise<unknown>, code: string): Promise<void> {
    await expect(promise).rejects.toMatchObject({ code });
  }
}

test("random calls do what Personalizer and EmbeddingIndex do by hand, through restarts", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { minLength: 5, maxLength: 40 }), async (acts) => {
      const run = new Run();
      await run.open();
      try {
        await run.perform({ do: "add", texts: ["apple pie", "orange juice", "orange phone case"], taken: false });
        for (const each of acts) await run.perform(each);
        await run.compare();
      } finally {
        await run.close();
        run.end();
      }
    }),
    { numRuns: RUNS },
  );
});
