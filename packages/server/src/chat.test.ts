import { fileURLToPath } from "node:url";
import * as ort from "onnxruntime-web";
import OpenAI from "openai";
import { beforeAll, expect, test } from "vitest";
import { startTestService } from "./service.test-support.js";

/** A tiny model with random weights: what it says means nothing, and is always the same. */
const GGUF = fileURLToPath(new URL("../../onnx/fixtures/gguf/llama.gguf", import.meta.url));
const MODEL = "llama";
const messages = [{ role: "user" as const, content: "What is the sea?" }];

let openai: OpenAI;
let url: string;
beforeAll(async () => {
  ort.env.wasm.numThreads = 1;
  const service = await startTestService({ model: GGUF, ort });
  url = service.url;
  openai = new OpenAI({ baseURL: `${service.url}/v1`, apiKey: "unused", maxRetries: 0 });
}, 60_000);

const ask = (more: object = {}) =>
  openai.chat.completions.create({ model: MODEL, messages, max_tokens: 6, temperature: 0, ...more, stream: false });

test("an answer that is cut by max_tokens says so, with its tokens counted", async () => {
  const { choices, usage, object } = await ask();
  expect(object).toBe("chat.completion");
  expect(choices[0]).toMatchObject({ finish_reason: "length", message: { role: "assistant" } });
  expect(usage!.total_tokens).toBe(usage!.prompt_tokens + usage!.completion_tokens);
  // The template writes more than the question.
  expect(usage!.prompt_tokens).toBeGreaterThan(5);
});

test("a stream gives the same text in pieces, then why it ended, then the usage", async () => {
  const whole = (await ask()).choices[0]!.message.content;
  const stream = await openai.chat.completions.create({
    ...{ model: MODEL, messages, max_tokens: 6, temperature: 0 },
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe(whole);
  expect(chunks.at(-2)!.choices[0]!.finish_reason).toBe("length");
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: expect.any(Number) } });
});

test("a stop text ends an answer, and does not appear in it", async () => {
  const whole = (await ask()).choices[0]!.message.content!;
  const stop = whole.slice(3, 5);
  const { choices } = await ask({ stop });
  expect(choices[0]).toMatchObject({
    finish_reason: "stop",
    message: { content: whole.slice(0, whole.indexOf(stop)) },
  });
});

test("requests that come together are answered as each would be alone, whoever is named", async () => {
  const alone = (await ask()).choices[0]!.message.content;
  const models = [MODEL, `${MODEL}:ann`, MODEL, `${MODEL}:bob`];
  const together = await Promise.all(models.map((model) => ask({ model })));
  expect(together.map(({ choices }) => choices[0]!.message.content)).toEqual(models.map(() => alone));
  expect(together.map(({ model }) => model)).toEqual(models);
});

test("a client that leaves stops its answer, and nobody else's", async () => {
  const control = new AbortController();
  const stream = await openai.chat.completions.create(
    { model: MODEL, messages, max_tokens: 200, stream: true },
    { signal: control.signal },
  );
  let pieces = 0;
  for await (const _ of stream) if (++pieces === 2) control.abort();
  expect(pieces).toBeLessThan(200);
  expect((await ask()).choices).toHaveLength(1);
});

test("what cannot be done is refused as OpenAI refuses it", async () => {
  const bad = [
    [404, { model: "another" }],
    [400, { max_tokens: 0 }],
    [400, { messages: [] }],
    [400, { messages: [{ role: "assistant", content: "I speak last." }] }],
    [400, { tools: [] }],
    [400, { n: 2 }],
  ] as const;
  for (const [status, more] of bad) {
    const body = JSON.stringify({ model: MODEL, messages, ...more });
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body });
    expect([answer.status, more]).toEqual([status, more]);
    const { error } = (await answer.json()) as { error: { message: string; type: string } };
    expect(error).toMatchObject({ message: expect.any(String), type: expect.any(String) });
  }
});
