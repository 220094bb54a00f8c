// Real vector databases and keyword engines behind a `PersonalSearch`.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import * as lancedb from "@lancedb/lancedb";
import { lanceIndex } from "@microlora/integrations/lancedb";
import { personalKeywords } from "@microlora/integrations/minisearch";
import { oramaIndex } from "@microlora/integrations/orama";
import { pgVectorIndex, vectorText } from "@microlora/integrations/pgvector";
import { sqliteVecIndex } from "@microlora/integrations/sqlite-vec";
import { usearchIndex } from "@microlora/integrations/usearch";
import { PersonalQueries } from "@microlora/search";
import * as orama from "@orama/orama";
import { DatabaseSync } from "@photostructure/sqlite";
import MiniSearch from "minisearch";
import * as sqliteVec from "sqlite-vec";
import usearch from "usearch";
import { checkIndex, DOCUMENTS, embedder } from "./support.mjs";

const numbered = {
  nameOf: (id) => DOCUMENTS[Number(id) - 1],
  idOf: (text) => (DOCUMENTS.includes(text) ? DOCUMENTS.indexOf(text) + 1 : 99),
};

export async function pgvector() {
  const client = await PGlite.create({ extensions: { vector } });
  await client.exec(
    "CREATE EXTENSION vector; CREATE TABLE products (id int PRIMARY KEY, name text, embedding vector(256))",
  );
  for (const [i, text] of DOCUMENTS.entries()) {
    await client.query("INSERT INTO products VALUES ($1, $2, $3)", [i + 1, text, vectorText(embedder.embed(text))]);
  }
  const index = pgVectorIndex({ client, table: "public.products", payload: ["name"] });
  const hits = await checkIndex(index, { ...numbered, filter: { where: "name LIKE $1", values: ["orange%"] } });
  assert.equal(hits[0].payload.name, "orange juice");
  assert.throws(() => pgVectorIndex({ client, table: "" }), { code: "invalid-argument" });
  const hostile = pgVectorIndex({ client, table: 'products"; DROP TABLE products; --' });
  await assert.rejects(async () => hostile.search(embedder.embed("a"), 1, {}));
  assert.equal((await client.query("SELECT count(*)::int AS n FROM products")).rows[0].n, 6);
  const { rows } = await client.query("SELECT version() AS is");
  await client.close();
  return rows[0].is.split(" ").slice(0, 2).join(" ");
}

export async function lance() {
  const folder = mkdtempSync(join(tmpdir(), "microlora-lance-"));
  try {
    const database = await lancedb.connect(folder);
    const rows = DOCUMENTS.map((id) => ({ id, vector: [...embedder.embed(id)], kind: id.split(" ")[0] }));
    const table = await database.createTable("products", rows);
    const hits = await checkIndex(lanceIndex({ table }), { filter: "kind = 'orange'" });
    assert.deepEqual(hits[0].payload, { id: "orange juice", kind: "orange" });
    assert.equal(await lanceIndex({ table }).vectorOf("it's ' OR 1=1"), undefined);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

export async function usearchLibrary() {
  const index = usearchIndex(
    new usearch.Index({ metric: "cos", dimensions: 256, connectivity: 16, quantization: "f32" }),
  );
  for (const [i, text] of DOCUMENTS.entries()) index.add(BigInt(i + 1), embedder.embed(text), text);
  const names = { ...numbered, idOf: (text) => BigInt(numbered.idOf(text)) };
  await checkIndex(index, { ...names, filter: (_, text) => text.startsWith("orange") });
  assert.equal(index.remove(3n), true);
  assert.equal(index.remove(3n), false);
  assert.equal(index.search(embedder.embed("orange"), 9, {}).length, 5);
}

export async function sqliteVector() {
  const database = new DatabaseSync(":memory:", { allowExtension: true });
  database.enableLoadExtension(true);
  sqliteVec.load(database);
  database.exec("CREATE VIRTUAL TABLE products USING vec0(embedding float[256] distance_metric=cosine, kind text)");
  const insert = database.prepare("INSERT INTO products(rowid, embedding, kind) VALUES (?, ?, ?)");
  for (const [i, text] of DOCUMENTS.entries()) {
    insert.run(BigInt(i + 1), new Uint8Array(embedder.embed(text).buffer), text.split(" ")[0]);
  }
  const index = sqliteVecIndex({ database, table: "products" });
  await checkIndex(index, { ...numbered, filter: "kind = 'orange'" });
  assert.equal(index.remove(3), true);
  assert.equal(index.remove(3), false);
  assert.throws(() => sqliteVecIndex({ database, table: "" }), { code: "invalid-argument" });
  return database.prepare("SELECT vec_version() AS version").get().version;
}

export async function oramaSearch() {
  const database = orama.create({ schema: { id: "string", kind: "enum", embedding: "vector[256]" } });
  for (const id of DOCUMENTS)
    orama.insert(database, { id, kind: id.split(" ")[0], embedding: [...embedder.embed(id)] });
  const hits = await checkIndex(oramaIndex(orama, database), { filter: { kind: { eq: "orange" } } });
  assert.deepEqual(hits[0].payload, { id: "orange juice", kind: "orange" });
}

export async function miniSearch() {
  const engine = new MiniSearch({ fields: ["text"], storeFields: ["text"] });
  engine.addAll(DOCUMENTS.map((text) => ({ id: text, text })));
  const queries = await PersonalQueries.create({ dimensions: embedder.dimensions, fingerprint: embedder.fingerprint });
  const vectorOf = (id) => (id === "orange unknown" ? undefined : embedder.embed(id));
  const search = personalKeywords({ engine, queries, embed: (text) => embedder.embed(text), vectorOf });
  engine.add({ id: "orange unknown", text: "orange unknown" });
  const { hits, click } = await search("orange", "ann");
  assert.deepEqual(new Set(hits.map(({ id }) => id)), new Set(["orange juice", "orange phone case", "orange unknown"]));
  assert.equal(hits[0].id, "orange juice");
  assert.equal(hits[2].id, "orange unknown");
  assert.deepEqual(hits[0].terms, ["orange"]);
  await click(hits[1]);
  assert.equal((await search("orange", "ann")).hits[0].id, "orange phone case");
  assert.equal((await search("orange", "bob")).hits[0].id, "orange juice");
  await assert.rejects(() => click(hits[2]), { code: "unknown-document" });
  assert.deepEqual((await search("nothing of this kind", "ann")).hits, []);
  await queries.close();
}
