import { type MemoryPlaces, openMemoryStore } from "@microlora/store";
import { Personalizer } from "microlora";
import { expect, test } from "vitest";
import { PersonalQueries } from "./personal-queries.js";
import { embedWords } from "./search.test-support.js";

const documents = ["orange juice", "orange phone case", "apple pie"].map((id) => ({ id, vector: embedWords(id) }));
const query = embedWords("orange");

test("queries move as those of a Personalizer do, through a restart, and user by user", async () => {
  const places: MemoryPlaces = new Map();
  const open = () =>
    PersonalQueries.create({ dimensions: 16, fingerprint: "words", store: openMemoryStore({ places }) });
  const direct = await Personalizer.create({ dimensions: 16, kernels: "simd" });
  const first = await open();
  const { id, vector } = await first.transform([...query], { user: "ann", text: "orange" });
  expect(vector).toEqual(direct.transform(query));
  const choice = { chosen: documents[1]!, shown: documents };
  direct.learn({ query, ...choice });
  expect(await first.learn(id, choice)).toEqual({ learned: true, version: 1 });
  expect(await first.learn(id, choice)).toEqual({ learned: false, version: 1 });
  await first.close();

  const again = await open();
  const { vector: moved } = await again.transform(query, { user: "ann" });
  expect(moved).toEqual(direct.transform(query));
  expect((await again.transform(query, { user: "bob" })).vector).toEqual(query);
  const { id: other, ranked } = await again.rank(query, documents, { user: "ann", scores: [3, 2, 1] });
  expect(ranked).toEqual(direct.rank(query, documents, { scores: [3, 2, 1] }));
  expect((await again.learn(other, { item: documents[2]!, rating: -1 })).version).toBe(2);
  expect(await again.export("ann")).toMatchObject([
    { seq: 1, query: "orange", chosen: "orange phone case" },
    { seq: 2, query: "", item: "apple pie", rating: -1 },
  ]);
  expect(await again.forget("ann")).toMatchObject({ existed: true, events: 2 });
  await expect(again.learn(other, choice)).rejects.toMatchObject({ code: "unknown-search" });
  expect((await again.transform(query, { user: "ann" })).vector).toEqual(query);
});

test("what cannot be is refused by name, and teaches nothing", async () => {
  const queries = await PersonalQueries.create({ dimensions: 16, remember: 2 });
  const { id } = await queries.transform(query, { id: "q" });
  const calls: readonly (readonly [() => Promise<unknown>, string])[] = [
    [() => queries.transform([1, 2]), "wrong-embedding"],
    [() => queries.transform("orange" as never), "wrong-embedding"],
    [() => queries.transform(new Float32Array(16).fill(Number.NaN)), "wrong-embedding"],
    [() => queries.transform(query, { id: "" }), "invalid-argument"],
    [() => queries.transform(query, { user: "" }), "invalid-argument"],
    [() => queries.learn("gone", { chosen: null, shown: documents }), "unknown-search"],
    [() => queries.learn(id, null as never), "invalid-argument"],
    [() => queries.learn(id, { chosen: documents[0]!, shown: [] }), "nothing-to-learn-from"],
    [() => queries.learn(id, { chosen: documents[0]!, shown: documents.slice(1) }), "not-shown"],
    [() => queries.learn(id, { item: documents[0]!, rating: 3 }), "out-of-range"],
    [() => queries.learn(id, { chosen: [1], shown: [[1]] }), "shape-mismatch"],
    [() => PersonalQueries.create({ dimensions: 0 }), "invalid-config"],
    [() => PersonalQueries.create({ dimensions: 4, width: 4 } as never), "invalid-argument"],
    [() => PersonalQueries.create({ dimensions: 4, remember: 0 }), "invalid-argument"],
  ];
  for (const [call, code] of calls) await expect(call(), String(call)).rejects.toMatchObject({ code });
  expect(await queries.export()).toEqual([]);
  await queries.transform(query);
  await queries.transform(query);
  await expect(queries.learn(id, { chosen: null, shown: documents })).rejects.toMatchObject({ code: "unknown-search" });
});
