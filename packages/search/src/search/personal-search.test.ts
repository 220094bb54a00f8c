import { type MemoryPlaces, openMemoryStore } from "@microlora/store";
import { EmbeddingIndex, type SearchHit } from "microlora";
import { expect, test, vi } from "vitest";
import { PersonalSearch } from "./personal-search.js";
import { embedWords } from "./search.test-support.js";
import type { SearchIndex } from "./search-index.js";

const documents = ["apple pie", "apple computer", "orange juice", "orange phone case", "fruit salad", "laptop charger"];
const ids = (hits: readonly { readonly id: unknown }[]) => hits.map(({ id }) => id);

test("a click brings a document to the top, for its user alone", async () => {
  await using shop = await PersonalSearch.create({ documents });
  const hits = await shop.search("orange", { user: "ann" });
  expect(hits[0]!.id).toBe("orange juice");
  const hit = hits.find(({ id }) => id === "orange phone case")!;
  expect(await shop.click(JSON.parse(JSON.stringify(hit)))).toEqual({ learned: true, version: 1 });
  expect(await shop.click(hit)).toEqual({ learned: false, version: 1 });
  expect((await shop.search("orange", { user: "ann" }))[0]!.id).toBe("orange phone case");
  expect((await shop.search("orange", { user: "bob" }))[0]!.id).toBe("orange juice");
});

test("what was learned outlives the search, and is forgotten on request", async () => {
  const places: MemoryPlaces = new Map();
  const open = (tenant?: string) => {
    const store = openMemoryStore({ places });
    return PersonalSearch.create({ documents, store, ...(tenant !== undefined && { tenant }), now: () => 7 });
  };
  const first = await open();
  const [, second] = await first.search("orange");
  await first.click(second!);
  await first.close();

  const again = await open();
  expect((await again.search("orange"))[0]!.id).toBe(second!.id);
  expect(await again.export()).toEqual([
    {
      ...{ id: `${second!.search}/click/1`, seq: 1, time: 7, kind: "click", query: "orange" },
      ...{ chosen: second!.id, shown: expect.arrayContaining(documents) },
    },
  ]);
  const other = await open("another shop");
  expect((await other.search("orange"))[0]!.id).toBe("orange juice");
  const [hit] = await again.search("apple");
  expect(await again.forget()).toMatchObject({ existed: true, events: 1 });
  await expect(again.click(hit!)).rejects.toMatchObject({ code: "unknown-search" });
  expect((await again.search("orange"))[0]!.id).toBe("orange juice");
  expect(await again.export()).toEqual([]);
});

test("a query is embedded once, and many are embedded together", async () => {
  const embedBatch = vi.fn(async (texts: readonly string[]) => texts.map((text) => [...embedWords(text)]));
  const shop = await PersonalSearch.create({ documents, embedder: { embedBatch } });
  embedBatch.mockClear();
  const [orange, , nothing] = await shop.searchBatch(["orange", "apple", ""], { k: 2 });
  expect(orange!.length).toBe(2);
  expect(nothing).toEqual([]);
  await shop.click(orange![1]!);
  await shop.rate(orange![0]!, -1);
  await shop.skip(orange!);
  expect(embedBatch.mock.calls).toEqual([[["orange", "apple", ""]]]);
});

test("ids, payloads and filters are the caller's", async () => {
  const shop = await PersonalSearch.create({
    documents: [
      { id: 1n, text: "apple pie", payload: { price: 3 } },
      { id: 2n, text: "apple juice", payload: { price: 1 } },
      { id: 3n, vector: [...embedWords("apple phone")], payload: { price: 900 } },
    ],
    embedder: (text) => embedWords(text),
  });
  const cheap = await shop.search("apple", { filter: (_, payload) => payload!.price < 100 });
  expect(new Set(ids(cheap))).toEqual(new Set([1n, 2n]));
  const price: number = cheap[0]!.payload!.price;
  expect(price).toBeLessThan(100);
  await shop.click(cheap[1]!);
  expect(await shop.export()).toMatchObject([{ kind: "click", chosen: cheap[1]!.id, shown: ids(cheap) }]);
  expect(await shop.remove(2n, 7n)).toBe(1);
  await shop.add([{ id: 2n, text: "apple case" }]);
  expect(new Set(ids(await shop.search("apple")))).toEqual(new Set([1n, 2n, 3n]));
});

/** A database of documents that answers by promise, as one behind a network. */
class Remote implements SearchIndex<string, string, { readonly word: string }> {
  readonly rows = new Map<string, Float32Array>();
  asked: Float32Array[] = [];

  async search(query: Float32Array, k: number, { filter }: { readonly filter?: { readonly word: string } }) {
    this.asked.push(query);
    const dot = (vector: Float32Array) => vector.reduce((sum, each, i) => sum + each * query[i]!, 0);
    const length = (vector: Float32Array) => Math.hypot(...vector) || 1;
    const hits: SearchHit<string, string>[] = [...this.rows]
      .filter(([id]) => filter === undefined || id.includes(filter.word))
      .map(([id, vector]) => ({ id, score: dot(vector) / length(vector), payload: id.toUpperCase() }));
    return hits.sort((a, b) => b.score - a.score).slice(0, k);
  }

  async vectorOf(id: string) {
    const vector = this.rows.get(id);
    return vector && [...vector];
  }
}

test("documents may stay where they are: only queries move", async () => {
  const index = new Remote();
  for (const text of documents) index.rows.set(text, embedWords(text));
  const shop = await PersonalSearch.create({ embedder: embedWords, index });
  const hits = await shop.search("orange", { k: 3, filter: { word: "e" } });
  expect(hits.length).toBe(3);
  await shop.click(hits[2]!);
  const after = await shop.search("orange", { k: 3, filter: { word: "e" } });
  expect(after[0]!.id).toBe(hits[2]!.id);
  expect(after[0]!.payload).toBe(hits[2]!.id.toUpperCase());
  expect(index.asked[0]).not.toEqual(index.asked[1]);
  index.rows.delete(after[1]!.id);
  await expect(shop.click(after[1]!)).rejects.toMatchObject({ code: "unknown-document" });
  await expect(shop.add(["pear"])).rejects.toMatchObject({ code: "unsupported-index" });
  await expect(shop.remove("pear")).rejects.toMatchObject({ code: "unsupported-index" });
});

test("another embedder than the one that was learned with is refused", async () => {
  const places: MemoryPlaces = new Map();
  const open = (fingerprint: string, width = 16) => {
    const embedder = { fingerprint, embed: (text: string) => embedWords(text, width) };
    return PersonalSearch.create({ documents, embedder, store: openMemoryStore({ places }) });
  };
  const first = await open("one");
  await first.click((await first.search("orange"))[1]!);
  await first.close();
  for (const other of [await open("two"), await open("one", 8)]) {
    const refused = other.search("orange").then(() => "found");
    if (other.index instanceof EmbeddingIndex && other.index.dimensions === 16) {
      await expect(refused).rejects.toMatchObject({ code: "wrong-embedder" });
      expect((await other.export())[0]).toMatchObject({ query: "orange" });
    } else await expect(refused).rejects.toBeInstanceOf(Error);
    expect((await other.search("orange", { user: "new" })).length).toBe(6);
  }
});

test("a broken embedder is named, and nothing is half-added", async () => {
  const shop = await PersonalSearch.create({ documents, embedder: embedWords });
  const bytes = (shop.index as EmbeddingIndex).toBytes();
  const refusals: readonly (readonly [() => Promise<unknown>, string])[] = [
    [() => shop.add(["new", "new"]), "duplicate-document"],
    [() => shop.add(["new", "apple pie"]), "duplicate-document"],
    [() => shop.add(["new", { id: "short", vector: [1, 2] }]), "wrong-embedding"],
    [() => shop.add([{ id: "short", vector: [1, 2] }]), "wrong-embedding"],
    [() => shop.add([{ id: "nan", vector: new Float32Array(16).fill(Number.NaN) }]), "invalid-argument"],
    [() => shop.add([{ id: "a" } as never]), "invalid-argument"],
    [() => shop.add([7 as never]), "invalid-argument"],
    [() => shop.add("text" as never), "invalid-argument"],
    [() => shop.search(7 as never), "invalid-argument"],
    [() => shop.search("apple", { k: 0 }), "invalid-argument"],
    [() => shop.search("apple", { top: 3 } as never), "invalid-argument"],
    [() => shop.search("apple", { user: "" }), "invalid-argument"],
    [() => shop.searchBatch("apple" as never), "invalid-argument"],
    [() => shop.click(undefined as never), "invalid-argument"],
    [() => shop.click({ search: "x", id: "apple pie" }), "unknown-search"],
    [() => shop.skip([]), "invalid-argument"],
    [() => shop.rate({ search: "x", id: "apple pie" }, 2), "invalid-argument"],
    [() => shop.learn({ kind: "click", query: "a", chosen: "apple pie", shown: [] }), "invalid-argument"],
    [() => shop.learn({ kind: "skip", query: "a", shown: [] }), "invalid-argument"],
    [() => shop.learn({ kind: "rate", query: "a", item: "gone", rating: 1 }), "unknown-document"],
    [() => shop.learn({ kind: "buy", query: "a" } as never), "invalid-argument"],
    [() => shop.learn(null as never), "invalid-argument"],
    [() => shop.remove({} as never), "invalid-argument"],
  ];
  for (const [call, code] of refusals) await expect(call(), String(call)).rejects.toMatchObject({ code });
  expect((shop.index as EmbeddingIndex).toBytes()).toEqual(bytes);
  expect(await shop.export()).toEqual([]);
  await shop.close();
  await shop.close();
  for (const call of [() => shop.search("a"), () => shop.add(["a"]), () => shop.export(), () => shop.forget()]) {
    await expect(call()).rejects.toMatchObject({ code: "closed" });
  }
});

test("create refuses what cannot work", async () => {
  const bad: readonly (readonly [object | undefined, string])[] = [
    [undefined, "invalid-argument"],
    [{ docs: [] }, "invalid-argument"],
    [{ embedder: "minilm" }, "invalid-argument"],
    [{ embedder: { embed: embedWords, dimensions: 0 } }, "invalid-argument"],
    [{ embedder: () => "text" }, "wrong-embedding"],
    [{ embedder: () => [] }, "wrong-embedding"],
    [{ embedder: () => [Number.NaN] }, "wrong-embedding"],
    [{ embedder: { embedBatch: () => [] } }, "wrong-embedding"],
    [{ embedder: (text: string) => embedWords(text, text.length) }, "wrong-embedding"],
    [{ index: {} }, "unsupported-index"],
    [{ store: {} }, "invalid-argument"],
    [{ tenant: "" }, "invalid-argument"],
    [{ remember: 0 }, "invalid-argument"],
    [{ now: 5 }, "invalid-argument"],
    [{ learning: { rank: 2 } }, "invalid-config"],
    [{ documents: 5 }, "invalid-argument"],
  ];
  for (const [options, code] of bad) {
    const given = options && { documents, embedder: embedWords, ...options };
    await expect(PersonalSearch.create(given as never), JSON.stringify(options)).rejects.toMatchObject({ code });
  }
});
