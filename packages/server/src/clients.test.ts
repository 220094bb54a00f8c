import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { loadEmbedder } from "@microlora/embed";
import { CloudEvent, HTTP } from "cloudevents";
import OpenAI from "openai";
import { expect, test } from "vitest";
import { SHOP, startTestService } from "./service.test-support.js";

const { url, call } = await startTestService();
const embedder = await loadEmbedder();
const own = (text: string) => Array.from(embedder.embed(text));

const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused", maxRetries: 0 });

test("openai: embeddings as float and as base64, which its client asks for by itself", async () => {
  const input = ["orange", "an apple"];
  const byDefault = await openai.embeddings.create({ model: "microlora", input });
  expect(byDefault.data.map(({ embedding }) => embedding)).toEqual(input.map(own));
  const floats = await openai.embeddings.create({ model: "microlora", input: "orange", encoding_format: "float" });
  expect(floats.data[0]!.embedding).toEqual(own("orange"));
  expect(floats).toMatchObject({ object: "list", model: "microlora", usage: { prompt_tokens: 1, total_tokens: 1 } });
});

test("openai: 128 dimensions are the first ones at unit length", async () => {
  const short = await loadEmbedder({ dimensions: 128 });
  const { data } = await openai.embeddings.create({ model: "microlora", input: "orange", dimensions: 128 });
  const expected = short.embed("orange");
  for (const [i, value] of data[0]!.embedding.entries()) expect(value).toBeCloseTo(expected[i]!, 2);
  expect(Math.hypot(...data[0]!.embedding)).toBeCloseTo(1, 5);
});

test("openai: errors are those that its client knows", async () => {
  await expect(openai.embeddings.create({ model: "gpt", input: "a" })).rejects.toMatchObject({
    status: 404,
    code: "not_found",
    param: "model",
  });
  const two = { model: "microlora:ann", input: "a", user: "bob" };
  await expect(openai.embeddings.create(two)).rejects.toMatchObject({ status: 400, code: "adapter_conflict" });
  const wide = { model: "microlora", input: "a", dimensions: 512 };
  await expect(openai.embeddings.create(wide)).rejects.toMatchObject({ status: 422, param: "dimensions" });
  await expect(openai.embeddings.create({ model: "microlora", input: [[1, 2]] })).rejects.toMatchObject({
    status: 400,
  });
});

test("openai: models are listed, users are not", async () => {
  const names: string[] = [];
  for await (const { id } of openai.models.list()) names.push(id);
  expect(names).toEqual(["microlora"]);
  expect(await openai.models.retrieve("microlora")).toMatchObject({ id: "microlora", object: "model" });
  await expect(openai.models.retrieve("other")).rejects.toMatchObject({ status: 404 });
});

test("openai: a user's own embedding, three ways to name the user, and the base model's bits for everybody else", async () => {
  await call("PUT", "/v1/indexes/clients/documents", { documents: SHOP });
  const shown = SHOP.map(({ id }) => id);
  const event = { id: "openai 1", user: "ann", index: "clients", query: "orange", shown, chosen: "d0" };
  expect((await call("POST", "/v1/feedback", event)).status).toBe(200);
  const ask = async (body: object, headers = {}) => {
    const request = { model: "microlora", input: "orange", ...body };
    return (await openai.embeddings.create(request, { headers })).data[0]!.embedding;
  };
  const anns = await ask({ model: "microlora:ann" });
  expect(anns).not.toEqual(own("orange"));
  expect(await ask({ user: "ann" })).toEqual(anns);
  expect(await ask({}, { "X-Microlora-User": "ann" })).toEqual(anns);
  expect(await ask({ user: "somebody" })).toEqual(own("orange"));
  expect((await call("GET", "/v1/users/somebody")).status).toBe(404);
});

/** What the test uses of the AI SDK, whose own declarations do not compile under `exactOptionalPropertyTypes`. */
interface AiSdk {
  embed(options: { model: unknown; value: string }): Promise<{ embedding: number[] }>;
  embedMany(options: { model: unknown; values: string[] }): Promise<{ embeddings: number[][] }>;
}
interface OpenAiCompatible {
  createOpenAICompatible(options: { name: string; baseURL: string }): { textEmbeddingModel(name: string): unknown };
}

test("AI SDK: embed and embedMany", async () => {
  const { embed, embedMany }: AiSdk = await import("ai" as string);
  const { createOpenAICompatible }: OpenAiCompatible = await import("@ai-sdk/openai-compatible" as string);
  const provider = createOpenAICompatible({ name: "microlora", baseURL: `${url}/v1` });
  const model = provider.textEmbeddingModel("microlora");
  expect((await embed({ model, value: "orange" })).embedding).toEqual(own("orange"));
  const { embeddings } = await embedMany({ model, values: ["orange", "apple"] });
  expect(embeddings).toEqual([own("orange"), own("apple")]);
});

test("curl: TEI's routes", async () => {
  const curl = async (path: string, body: object) => {
    const args = ["-sS", `${url}${path}`, "-H", "content-type: application/json", "-d", JSON.stringify(body)];
    return JSON.parse((await promisify(execFile)("curl", args)).stdout);
  };
  expect(await curl("/embed", { inputs: "orange" })).toEqual([own("orange")]);
  const texts = ["apple pie", "orange juice"];
  const ranked = await curl("/rerank", { query: "orange", texts, return_text: true });
  expect(ranked[0]).toMatchObject({ index: 1, text: "orange juice", score: expect.any(Number) });
  const cohere = await curl("/rerank", { query: "orange", documents: texts, top_n: 1, return_documents: true });
  expect(cohere.results).toMatchObject([{ index: 1, document: { text: "orange juice" } }]);
  expect(await curl("/embed", { inputs: "" })).toMatchObject({ error: expect.any(String), error_type: "Validation" });
  expect(await curl("/embed", { inputs: "a", dimensions: 3 })).toMatchObject({ error_type: "Validation" });
});

test("TEI's info and health", async () => {
  expect((await call("GET", "/info")).json).toMatchObject({ model_id: "microlora", max_client_batch_size: 2048 });
  expect((await call("GET", "/health")).status).toBe(200);
});

test("CloudEvents: binary and structured mode, and a batch; the same source and id are one event", async () => {
  const shown = [
    { id: "a", text: "a red hat" },
    { id: "b", text: "a blue cat" },
  ];
  const cloudEvent = (id: string, source = "/shop") =>
    new CloudEvent({
      id,
      source,
      type: "click",
      time: "2026-12-01T00:00:00.000Z",
      data: { user: "eve", query: "hat", shown, chosen: "a" },
    });
  const send = async ({ headers, body }: { headers: object; body: unknown }) =>
    (await call("POST", "/v1/feedback", body as string, headers as Record<string, string>)).json;
  expect(await send(HTTP.binary(cloudEvent("1")))).toMatchObject({ results: [{ status: "learned", seq: 1 }] });
  expect(await send(HTTP.structured(cloudEvent("1")))).toMatchObject({ results: [{ status: "duplicate", seq: 1 }] });
  expect(await send(HTTP.structured(cloudEvent("1", "/app")))).toMatchObject({
    results: [{ status: "learned", seq: 2 }],
  });
  const batch = JSON.stringify([cloudEvent("2"), cloudEvent("1")]);
  const headers = { "content-type": "application/cloudevents-batch+json" };
  expect(await send({ headers, body: batch })).toMatchObject({
    results: [
      { status: "learned", seq: 3 },
      { status: "duplicate", seq: 1 },
    ],
  });
});
