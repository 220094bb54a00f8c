import assert from "node:assert/strict";
import { loadEmbedder } from "@microlora/embed";
import { PersonalSearch } from "@microlora/search";

export const DOCUMENTS = [
  "apple pie",
  "apple computer",
  "orange juice",
  "orange phone case",
  "fruit salad",
  "laptop charger",
];
export const embedder = await loadEmbedder();

/** A hosted embedding API, as far as its callers can tell: many texts in one request, answers as `number[]`. */
export const hosted = {
  requests: 0,
  async embed(texts) {
    hosted.requests++;
    return embedder.embedBatch(texts).map((vector) => [...vector]);
  },
};

/** Ids of hits. */
export const idsOf = (hits) => hits.map(({ id }) => id);

/** The exact order by cosine, worked out here in float64. */
export function nearest(query, texts = DOCUMENTS) {
  const score = (text) => embedder.embed(text).reduce((sum, value, i) => sum + value * query[i], 0);
  return texts.map((text) => [text, score(text)]).sort((a, b) => b[1] - a[1]);
}

/**
 * Checks a database as the index of a `PersonalSearch`: exact cosines, a filter, vectors given back, and a click that brings a document up for its
 * user alone.
 * @param nameOf the text of a document by its id; @param idOf the reverse; @param filter one that leaves the documents about oranges
 */
export async function checkIndex(index, { nameOf = (id) => id, idOf = (text) => text, filter }) {
  const search = await PersonalSearch.create({ embedder, index });
  const query = embedder.embed("orange");
  const hits = await search.search("orange", { user: "ann", k: 6 });
  const expected = nearest(query);
  assert.deepEqual(
    hits.map(({ id }) => nameOf(id)),
    expected.map(([text]) => text),
  );
  for (const [i, { score }] of hits.entries()) assert.ok(Math.abs(score - expected[i][1]) < 1e-4, `${score}`);
  const filtered = await search.search("orange", { user: "ann", k: 3, filter });
  assert.deepEqual(
    filtered.map(({ id }) => nameOf(id)),
    ["orange juice", "orange phone case"],
  );
  const vector = await index.vectorOf(idOf("apple pie"));
  const own = embedder.embed("apple pie");
  assert.ok(Array.from(vector).every((value, i) => Math.abs(value - own[i]) < 1e-6));
  assert.equal(await index.vectorOf(idOf("nothing of this name")), undefined);
  const hit = hits.find(({ id }) => nameOf(id) === "orange phone case");
  assert.deepEqual(await search.click(hit), { learned: true, version: 1 });
  assert.equal(nameOf((await search.search("orange", { user: "ann" }))[0].id), "orange phone case");
  assert.equal(nameOf((await search.search("orange", { user: "bob" }))[0].id), "orange juice");
  await search.close();
  return hits;
}
