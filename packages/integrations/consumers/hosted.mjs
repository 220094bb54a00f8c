// Hosted embeddings, personalised per user: the real SDKs, and a stand-in for the hosted API on this machine.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createOpenAI } from "@ai-sdk/openai";
import { aiSdkEmbedder, embeddingModel, personalEmbeddings } from "@microlora/integrations/ai-sdk";
import { embeddingsEndpoint, openAiEmbedder } from "@microlora/integrations/openai";
import { PersonalQueries, PersonalSearch } from "@microlora/search";
import { cosineSimilarity, embed, embedMany, wrapEmbeddingModel } from "ai";
import OpenAI from "openai";
import { DOCUMENTS, embedder, nearest } from "./support.mjs";

/** Serves a function from requests to responses. */
async function listen(handler) {
  const server = createServer(async (incoming, outgoing) => {
    const chunks = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const request = new Request(`http://localhost${incoming.url}`, { method: "POST", body: Buffer.concat(chunks) });
    const response = await handler(request);
    outgoing.writeHead(response.status, Object.fromEntries(response.headers));
    outgoing.end(Buffer.from(await response.arrayBuffer()));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return { baseURL: `http://127.0.0.1:${server.address().port}/v1`, stop };
}

const best = (query, documents) =>
  documents
    .map(({ id, vector }) => ({ id, score: cosineSimilarity([...query], vector) }))
    .sort((a, b) => b.score - a.score);

/** Hosted embeddings through the AI SDK: documents stay as they are, queries move, a click finds its raw query by id. */
export async function aiSdk() {
  const { baseURL, stop } = await listen(embeddingsEndpoint({ embedder }));
  try {
    const openai = createOpenAI({ baseURL, apiKey: "none" });
    const queries = await PersonalQueries.create({ dimensions: 256, fingerprint: "text-embedding-3-small" });
    const hosted = openai.embedding("text-embedding-3-small");
    const model = wrapEmbeddingModel({ model: hosted, middleware: personalEmbeddings(queries) });

    const { embeddings } = await embedMany({ model, values: DOCUMENTS });
    const documents = DOCUMENTS.map((id, i) => ({ id, vector: embeddings[i] }));
    assert.deepEqual(embeddings, (await embedMany({ model: hosted, values: DOCUMENTS })).embeddings);

    const of = (user, id) => ({ providerOptions: { microlora: { user, ...(id !== undefined && { id }) } } });
    const first = await embed({ model, value: "orange", ...of("ann", "search-1") });
    assert.deepEqual(first.providerMetadata.microlora.ids, ["search-1"]);
    assert.equal(best(first.embedding, documents)[0].id, "orange juice");
    await queries.learn("search-1", { chosen: documents[3], shown: documents });

    const after = await embed({ model, value: "orange", ...of("ann") });
    assert.equal(best(after.embedding, documents)[0].id, "orange phone case");
    const other = await embed({ model, value: "orange", ...of("bob") });
    assert.equal(best(other.embedding, documents)[0].id, "orange juice");
    const many = await embedMany({ model, values: ["orange", "apple"], ...of("ann", "search-2") });
    assert.equal(best(many.embeddings[0], documents)[0].id, "orange phone case");
    assert.equal((await queries.learn("search-2/1", { chosen: documents[1], shown: documents })).learned, true);
    assert.deepEqual(
      (await queries.export("ann")).map(({ query }) => query),
      ["orange", "apple"],
    );
    await queries.close();

    const search = await PersonalSearch.create({ documents: DOCUMENTS, embedder: aiSdkEmbedder(hosted) });
    assert.equal((await search.search("orange"))[0].id, "orange juice");
    await search.close();

    const { embedding } = await embed({ model: embeddingModel(embedder), value: "orange" });
    assert.deepEqual(embedding, [...embedder.embed("orange")]);
  } finally {
    stop();
  }
}

/** The OpenAI SDK against a server of this machine, which personalises requests that name a user. */
export async function openAi() {
  const queries = await PersonalQueries.create({ dimensions: 256, fingerprint: embedder.fingerprint });
  const { baseURL, stop } = await listen(embeddingsEndpoint({ embedder, queries }));
  try {
    const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
    const model = "local";
    const { data } = await client.embeddings.create({ model, input: DOCUMENTS });
    const documents = DOCUMENTS.map((id, i) => ({ id, vector: data[i].embedding }));
    for (const { id, vector } of documents) assert.deepEqual(Float32Array.from(vector), embedder.embed(id));

    const ask = async (user) => client.embeddings.create({ model, input: "orange", user }).withResponse();
    const { data: asked, response } = await ask("ann");
    assert.equal(best(asked.data[0].embedding, documents)[0].id, "orange juice");
    const [id] = response.headers.get("x-microlora-queries").split(",");
    await queries.learn(id, { chosen: documents[3], shown: documents });
    assert.equal(best((await ask("ann")).data.data[0].embedding, documents)[0].id, "orange phone case");
    assert.equal(best((await ask("bob")).data.data[0].embedding, documents)[0].id, "orange juice");
    await assert.rejects(() => client.embeddings.create({ model, input: [] }), { status: 400 });
    await assert.rejects(() => client.embeddings.create({ model, input: [[1, 2]] }), { status: 400 });

    const search = await PersonalSearch.create({ documents: DOCUMENTS, embedder: openAiEmbedder(client, model) });
    assert.deepEqual(
      (await search.search("orange")).map((hit) => hit.id),
      nearest(embedder.embed("orange")).map(([text]) => text),
    );
    await search.close();
  } finally {
    stop();
    await queries.close();
  }
}
