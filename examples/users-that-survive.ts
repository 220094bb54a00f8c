// Users' clicks in a log on disk: each is durable before it is answered, and a restart goes on with the same bits.
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadEmbedder } from "@microlora/embed";
import { openPool, personalUsers, type UserKey, userKey } from "@microlora/store";
import { openSqliteStore } from "@microlora/store/sqlite";
import { EmbeddingIndex, Runtime } from "microlora";

const embedder = await loadEmbedder();
const documents = ["orange phone case", "fresh orange juice", "apple laptop charger", "apple pie recipe"];
const index = await EmbeddingIndex.create(documents.map((text) => [text, embedder.embed(text)]));
const memoryBytes = 16 * 1024 * 1024;
const runtime = await Runtime.create({ kernels: "simd", memoryBytes: 2 * memoryBytes });
const people = personalUsers({ runtime, embedder });

const folder = mkdtempSync(join(tmpdir(), "microlora-example-"));

/** A process, from its start to its end. */
async function serve<Value>(run: (pool: Pool) => Promise<Value>): Promise<Value> {
  const { store, pool } = await open();
  const value = await run(pool);
  await pool.close();
  await store.close();
  return value;
}

async function open() {
  const store = await openSqliteStore(join(folder, "users.sqlite"));
  return { store, pool: await openPool({ store, memoryBytes, ...people }) };
}

type Pool = Awaited<ReturnType<typeof open>>["pool"];

function click(pool: Pool, user: UserKey, id: string, text: string, chosen: string) {
  return pool.with(user, (turn) => {
    const { loss, ...change } = turn.state.prepare({ query: embedder.embed(text), chosen, shown: documents, index });
    const event = { id, source: new TextEncoder().encode(text), answer: `learned, loss ${loss?.toFixed(2)}` };
    return turn.commit({ ...event, ...change });
  });
}

function best(pool: Pool, user: UserKey, text: string): Promise<string> {
  return pool.with(user, ({ state }) => state.personalizer.search(embedder.embed(text), index, 1)[0]!.id);
}

const hash = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex").slice(0, 12);

const ann = userKey("my-shop", "ann");
const live = await serve(async (pool) => {
  console.log(`orange, before: ${await best(pool, ann, "orange")}`);
  for (let i = 0; i < 5; i++) await click(pool, ann, `click-${i}`, "orange", "orange phone case");
  const again = await click(pool, ann, "click-0", "orange", "orange phone case");
  console.log(`the same click again: ${again.status}`);
  return pool.with(ann, ({ state }) => hash(state.toBytes()));
});

await serve(async (pool) => {
  console.log(`orange, after a restart: ${await best(pool, ann, "orange")}`);
  console.log(`the same bits: ${(await pool.with(ann, ({ state }) => hash(state.toBytes()))) === live}`);
});
rmSync(folder, { recursive: true });
