import { connect } from "node:net";
import { expect, test } from "vitest";
import { SHOP, startTestService } from "./service.test-support.js";

/** Mutated requests; `HOSTILE` asks for more. */
const REQUESTS = Number(process.env.HOSTILE ?? 2000);

const service = await startTestService({ bodyBytes: 64 * 1024, requestTimeoutMs: 1000 });
const { call } = service;
await call("PUT", "/v1/indexes/shop/documents", { documents: SHOP });

const SEEDS: readonly (readonly [method: string, path: string, body: object])[] = [
  ["POST", "/v1/embeddings", { model: "microlora", input: ["orange", "apple"], encoding_format: "base64", user: "u" }],
  ["POST", "/embed", { inputs: "orange", truncate: true }],
  ["POST", "/rerank", { query: "orange", texts: ["a b", "c d"], raw_scores: true }],
  ["PUT", "/v1/indexes/mutated/documents", { documents: [{ id: "a", text: "hat", payload: { n: 1 } }] }],
  ["POST", "/v1/indexes/shop/search", { query: "orange", user: "u", limit: 3, filter: { price: [1, 2] } }],
  ["POST", "/v1/feedback", { id: "m", user: "u", index: "shop", query: "orange", shown: ["d0", "d1"], chosen: "d0" }],
  ["POST", "/v1/feedback", { events: [{ id: "n", user: "u", index: "shop", query: "x", rating: 0.5, item: "d0" }] }],
  ["POST", "/v1/users/u/rollback", { to_seq: 0 }],
  ["POST", "/v1/chat/completions", { model: "m", messages: [{ role: "user", content: "hi" }] }],
];

const ODD = [
  ...['"\\ud800"', "1e999", "-0", "null", "[]", "{}", '""', '"\\u0000"', "true", "1e308", "0.1", "-1", '"__proto__"'],
  ...[
    '{"__proto__":1}',
    '{"constructor":{"prototype":1}}',
    "[[[[[[[[]]]]]]]]",
    '"toString"',
    '"a:b:c"',
    "99999999999999999999",
  ],
  `"${"x".repeat(3000)}"`,
  `[${"1,".repeat(300)}1]`,
  '"../../etc/passwd"',
  '"\'; DROP TABLE user; --"',
];

/** A text with a few changes: values in the place of others, bytes flipped, cut or doubled. */
function mutated(text: string, random: () => number): Uint8Array {
  let changed = text;
  if (random() < 0.7) {
    const values = [...changed.matchAll(/(?<=[:[,])("[^"]*"|[\d.]+|true|null)/g)];
    const value = values[Math.floor(random() * values.length)];
    const odd = ODD[Math.floor(random() * ODD.length)]!;
    if (value) changed = changed.slice(0, value.index) + odd + changed.slice(value.index + value[0].length);
  }
  const bytes = new TextEncoder().encode(changed);
  const at = Math.floor(random() * bytes.length);
  if (random() < 0.2) bytes[at]! ^= 1 << Math.floor(random() * 8);
  if (random() < 0.1) return bytes.subarray(0, at);
  if (random() < 0.1) return new Uint8Array([...bytes, ...bytes.subarray(at)]);
  return bytes;
}

/** Numbers in [0, 1) that follow from a seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

test(
  `${REQUESTS} mutated requests are answered or refused, and the service goes on`,
  async () => {
    const random = randomOf(17);
    const counts = new Map<number, number>();
    for (let done = 0; done < REQUESTS; done += 20) {
      const answers = await Promise.all(
        Array.from({ length: Math.min(20, REQUESTS - done) }, async () => {
          const [method, path, body] = SEEDS[Math.floor(random() * SEEDS.length)]!;
          const sent = mutated(JSON.stringify(body), random);
          const answer = await call(method, path, sent, { "content-type": "application/json" });
          return { ...answer, sent };
        }),
      );
      for (const { status, text, sent } of answers) {
        counts.set(status, (counts.get(status) ?? 0) + 1);
        if (status >= 500) throw new Error(`${status}: ${text} for ${new TextDecoder().decode(sent)}`);
      }
    }
    expect(counts.get(200)).toBeGreaterThan(REQUESTS / 50);
    expect(counts.get(400)).toBeGreaterThan(REQUESTS / 10);
    const { json } = await call("POST", "/v1/indexes/shop/search", { query: "orange", limit: 1 });
    expect(json.hits[0].id).toBe("d1");
  },
  60_000 + 20 * REQUESTS,
);

test.each([
  ["a body that is too large", "x".repeat(70_000), {}, 413],
  ["no media type", '{"model":"microlora","input":"a"}', { "content-type": "" }, 415],
  ["another media type", "model=microlora", { "content-type": "application/x-www-form-urlencoded" }, 415],
  ["200,000 lists within each other", "[".repeat(60_000), {}, 400],
])("%s is refused", async (_, body, headers, status) => {
  const answer = await call("POST", "/v1/embeddings", new TextEncoder().encode(body), {
    "content-type": "application/json",
    ...headers,
  });
  expect(answer.status).toBe(status);
  expect(answer.json.error).toMatchObject({ message: expect.any(String), type: "invalid_request_error" });
});

test.each([
  "/v1/users/%00",
  "/v1/users/%ff",
  "/v1/users/%ed%a0%80",
  `/v1/users/${"x".repeat(300)}`,
  `/v1/users/${"x".repeat(5000)}`,
  "/v1/users/..%2f..%2fetc",
  "/v1/users/",
  "/%",
])("the path %s is refused, not failed", async (path) => {
  const { status } = await call("GET", path);
  expect(status).toBeGreaterThanOrEqual(400);
  expect(status).toBeLessThan(500);
});

/** Sends raw bytes. @returns what came back until the service closed the connection */
function raw(text: string, url = service.url): Promise<string> {
  const { port, hostname } = new URL(url);
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(Number(port), hostname, () => socket.write(text));
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(answer));
  });
}

test("a client that sends its body too slowly, and one with huge headers, are let go", {
  timeout: 60_000,
}, async () => {
  const head = "POST /embed HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
  const slow = await raw(`${head}content-length: 100\r\n\r\n{"inp`);
  expect(slow).toMatch(/^HTTP\/1.1 408/);
  const huge = await raw(`${head}x: ${"y".repeat(20_000)}\r\n\r\n`);
  expect(huge).toMatch(/^HTTP\/1.1 431/);
  expect((await call("GET", "/livez")).status).toBe(200);
});

test("a request that never arrived is not counted as one that is worked on", async () => {
  const single = await startTestService({ requestsAtOnce: 1, requestTimeoutMs: 300 });
  const head = "POST /embed HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
  for (let i = 0; i < 3; i++) await raw(`${head}content-length: 100\r\n\r\n{"inp`, single.url);
  expect((await single.call("POST", "/embed", { inputs: "a" })).status).toBe(200);
});

test("more requests at once than are worked on are told to come again", async () => {
  const small = await startTestService({ requestsAtOnce: 4 });
  const inputs = Array.from({ length: 2000 }, () => "a long text ".repeat(5));
  const asked = Array.from({ length: 40 }, () => small.call("POST", "/embed", { inputs }));
  const answers = await Promise.all(asked);
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 429]));
  expect((await small.call("POST", "/embed", { inputs: "a" })).status).toBe(200);
});
