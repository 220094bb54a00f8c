import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { newFolder, SHOP, startTestService } from "./service.test-support.js";

const service = await startTestService();
const { call } = service;
await call("PUT", "/v1/indexes/shop/documents", { documents: SHOP });
let count = 0;

async function search(user: string, query = "orange", more: object = {}, headers = {}) {
  return (await call("POST", "/v1/indexes/shop/search", { query, user, limit: 4, ...more }, headers)).json;
}

/** A click on a document after a search. */
async function click(user: string, chosen = "d0", query = "orange") {
  const { request_id } = await search(user, query);
  return call("POST", "/v1/feedback", { id: `event ${count++}`, request_id, chosen });
}

test("documents: stored row by row, read, replaced, removed", async () => {
  const documents = [
    { id: "a", text: "a hat", payload: { color: "red" } },
    { id: "b", vector: [1, 2] },
    { id: "c" },
    { id: "d", text: "\u200b" },
    { id: "e", vector: Array.from({ length: 256 }, (_, i) => i / 256) },
  ];
  const { status, json } = await call("PUT", "/v1/indexes/hats/documents", { documents });
  expect(status).toBe(200);
  expect(json.results.map((row: { status: string }) => row.status)).toEqual([
    "stored",
    "refused",
    "refused",
    "refused",
    "stored",
  ]);
  expect((await call("GET", "/v1/indexes/hats/documents/a")).json).toMatchObject({ id: "a", text: "a hat" });
  const lines = '{"id":"a","text":"a cap"}\n\n{"id":"f","text":"a beret"}\n';
  await call("PUT", "/v1/indexes/hats/documents", lines, { "content-type": "application/x-ndjson" });
  expect((await call("GET", "/v1/indexes/hats/documents/a")).json.text).toBe("a cap");
  expect((await call("DELETE", "/v1/indexes/hats/documents/a")).status).toBe(204);
  expect((await call("DELETE", "/v1/indexes/hats/documents/a")).status).toBe(404);
  expect((await call("GET", "/v1/indexes/hats/documents/a")).status).toBe(404);
  expect((await call("DELETE", "/v1/indexes/hats")).status).toBe(200);
  expect((await call("POST", "/v1/indexes/hats/search", { query: "hat" })).status).toBe(404);
});

test("search: filters, texts and payloads, by text or by vector", async () => {
  const filtered = await search("nobody", "orange", { filter: { price: [0, 2] }, with: ["text"] });
  expect(filtered.hits).toEqual([
    { id: "d0", score: expect.any(Number), text: "orange phone case" },
    { id: "d2", score: expect.any(Number), text: "apple pie recipe" },
  ]);
  const { json } = await call("POST", "/embed", { inputs: "orange" });
  const byVector = await call("POST", "/v1/indexes/shop/search", { vector: json[0], limit: 4 });
  const byText = await call("POST", "/v1/indexes/shop/search", { query: "orange", limit: 4 });
  expect(byVector.json.hits).toEqual(byText.json.hits);
  for (const body of [{}, { query: "a", vector: json[0] }, { vector: [1, 2, 3] }, { query: "\u200b" }]) {
    expect((await call("POST", "/v1/indexes/shop/search", body)).status).toBeGreaterThanOrEqual(400);
  }
});

test("a click is learned by the one who clicked, and by nobody else", async () => {
  const before = await search("ann");
  expect(before.hits[0].id).toBe("d1");
  const { status, json, headers } = await click("ann");
  expect([status, json.results[0].status, headers.get("microlora-version")]).toEqual([200, "learned", "1"]);
  expect((await search("ann")).hits[0].id).toBe("d0");
  expect((await search("bob")).hits).toEqual(before.hits);
});

test("an event is learned once: again it is told the first answer, with another content 409", async () => {
  const event = { id: "once", user: "once", index: "shop", query: "apple", shown: ["d2", "d3"], chosen: "d3" };
  const first = await call("POST", "/v1/feedback", event);
  expect(first.json.results[0]).toMatchObject({ status: "learned", seq: 1 });
  const { status: _, ...told } = first.json.results[0];
  const reordered = Object.fromEntries(Object.entries(event).reverse());
  const again = await call("POST", "/v1/feedback", reordered);
  expect(again.json.results[0]).toEqual({ ...told, status: "duplicate" });
  expect((await call("POST", "/v1/feedback", { ...event, chosen: "d2" })).status).toBe(409);
  expect((await call("POST", "/v1/feedback", { ...event, user: "another" })).status).toBe(409);
  expect((await call("GET", "/v1/users/once")).json.version).toBe(1);
  expect((await call("GET", "/v1/users/another")).status).toBe(404);
});

test("a retry is told its first answer, though its search and its document are gone", async () => {
  await call("PUT", "/v1/indexes/brief/documents", { documents: SHOP });
  const found = (await call("POST", "/v1/indexes/brief/search", { query: "orange", user: "late" })).json;
  const event = { id: "late", request_id: found.request_id, chosen: "d0" };
  expect((await call("POST", "/v1/feedback", event)).json.results[0].status).toBe("learned");
  await call("DELETE", "/v1/indexes/brief");
  expect((await call("POST", "/v1/feedback", event)).json.results[0].status).toBe("duplicate");
});

test("feedback of every kind, and a batch with a row for each event", async () => {
  const shown = [
    { id: "x", text: "a red hat" },
    { id: "y", text: "a blue cat" },
  ];
  const events = [
    { id: "k1", user: "kinds", index: "shop", query: "orange", shown: ["d0", "d1"], chosen: "d0" },
    { id: "k2", user: "kinds", index: "shop", query: "orange", shown: ["d0", "d1"], chosen: null },
    { id: "k3", user: "kinds", index: "shop", query: "orange", chosen: "d0", rejected: ["d1"], weight: 0.5 },
    { id: "k4", user: "kinds", index: "shop", query: "orange", rating: 1, item: "d0" },
    { id: "k5", user: "kinds", index: "shop", query: "orange", stars: 1, item: "d1" },
    { id: "k6", user: "kinds", query: "hat", shown, chosen: "x" },
    { id: "k7", user: "kinds", index: "shop", query: "orange", shown: ["d0"], chosen: "d3" },
    { id: "k8", user: "kinds", index: "shop", query: "orange", rating: 1, item: "d0", chosen: "d0" },
    { id: "k9", user: "kinds", index: "shop", query: "orange", shown: ["d0", "gone"], chosen: "d0" },
    { id: "k10", query: "no user" },
    { id: "k1", user: "kinds", index: "shop", query: "orange", shown: ["d0", "d1"], chosen: "d0" },
    { nonsense: true },
  ];
  const { status, json } = await call("POST", "/v1/feedback", { events });
  expect(status).toBe(200);
  const rows = json.results.map((row: { status: string; code?: string }) => row.code ?? row.status);
  expect(rows).toEqual([
    ...["learned", "learned", "learned", "learned", "learned", "learned"],
    ...["not-shown", "mixed-feedback", "unknown-document", "invalid-body", "duplicate", "invalid-body"],
  ]);
  expect((await call("GET", "/v1/users/kinds")).json).toMatchObject({ version: 6, clicks: 6 });
});

test("feedback for another user's search, or one that is not kept, is refused", async () => {
  const { request_id } = await search("owner");
  const stolen = await call("POST", "/v1/feedback", { id: "stolen", user: "thief", request_id, chosen: "d0" });
  expect(stolen.status).toBe(404);
  const gone = { id: "gone", user: "owner", request_id: "00000000-0000-4000-8000-000000000000", chosen: "d0" };
  expect((await call("POST", "/v1/feedback", gone)).status).toBe(410);
});

test("a version is answered, and may be asked for", async () => {
  await click("versions");
  const now = await call("POST", "/v1/embeddings", { model: "microlora:versions", input: "orange" });
  expect(now.headers.get("microlora-version")).toBe("1");
  const own = await search("versions", "orange", {}, { "Microlora-Min-Version": "1" });
  expect(own.version).toBe(1);
  const body = { model: "microlora:versions", input: "orange" };
  const ahead = await call("POST", "/v1/embeddings", body, { "Microlora-Min-Version": "2" });
  expect([ahead.status, ahead.headers.get("retry-after")]).toEqual([503, "1"]);
  const wrong = await call("POST", "/v1/embeddings", body, { "Microlora-Min-Version": "-1" });
  expect(wrong.status).toBe(400);
});

test("users: export, rollback, fork, adapters and their versions", async () => {
  for (let i = 0; i < 3; i++) await click("eve");
  const at3 = Buffer.from(await bytesOf("eve"));
  const back = await call("POST", "/v1/users/eve/rollback", { to_seq: 1 });
  expect(back.json).toEqual({ user: "eve", version: 4 });
  expect((await call("GET", "/v1/users/eve")).json).toMatchObject({ version: 4, clicks: 1 });
  expect((await call("POST", "/v1/users/eve/rollback", { to_seq: 99 })).status).toBe(400);

  const octets = { "content-type": "application/octet-stream" };
  const stale = await call("PUT", "/v1/users/eve/adapter", at3, { ...octets, "if-match": '"3"' });
  expect(stale.status).toBe(412);
  const key = { "idempotency-key": "upload" };
  const put = await call("PUT", "/v1/users/eve/adapter", at3, { ...octets, ...key, "if-match": '"4"' });
  expect(put.json.version).toBe(5);
  expect(Buffer.from(await bytesOf("eve"))).toEqual(at3);
  expect((await call("PUT", "/v1/users/eve/adapter", at3, { ...octets, ...key })).json.version).toBe(5);
  expect((await call("PUT", "/v1/users/eve/adapter", Buffer.from("no adapter"), octets)).status).toBe(422);
  expect((await call("PUT", "/v1/users/eve/adapter", { a: 1 })).status).toBe(415);

  expect((await call("POST", "/v1/users/child/fork", { from: "eve" })).json).toEqual({ user: "child", version: 1 });
  expect((await call("GET", "/v1/users/child")).json.clicks).toBe(0);
  expect((await call("POST", "/v1/users/eve/fork", { from: "child" })).status).toBe(409);
  expect((await call("POST", "/v1/users/eve/consolidate")).json.version).toBe(6);

  const lines = (await call("GET", "/v1/users/eve/export")).text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(lines.map(({ seq, kind }) => [seq, kind])).toEqual([
    [undefined, undefined],
    ...[1, 2, 3].map((seq) => [seq, "learn"]),
    ...[4, 5].map((seq) => [seq, "state"]),
    [6, "consolidate"],
  ]);
  expect(lines[1].event).toMatchObject({ chosen: "d0" });
});

async function bytesOf(user: string): Promise<ArrayBuffer> {
  return (await fetch(`${service.url}/v1/users/${user}/export?format=mlora`)).arrayBuffer();
}

test("erasing leaves no byte of the user in any file, and holds against what comes later", async () => {
  const data = newFolder();
  const own = await startTestService({ data });
  await own.call("PUT", "/v1/indexes/shop/documents", { documents: SHOP });
  const marker = "zyxw-marker-9173";
  const event = (id: string) => ({
    id: `${id} of ${marker}`,
    user: marker,
    index: "shop",
    query: `orange ${marker}`,
    shown: ["d0", "d1"],
    chosen: "d0",
  });
  for (let i = 0; i < 70; i++) await own.call("POST", "/v1/feedback", event(String(i)));
  const { status, json } = await own.call("DELETE", `/v1/users/${marker}`);
  expect([status, json.existed, json.events, json.remains]).toEqual([200, true, 70, []]);
  expect((await own.call("POST", "/v1/feedback", event("0"))).status).toBe(410);
  expect((await own.call("GET", `/v1/users/${marker}`)).status).toBe(404);
  expect((await own.call("DELETE", `/v1/users/${marker}`)).json.existed).toBe(false);
  for (const file of readdirSync(data)) {
    expect([file, readFileSync(join(data, file)).includes(marker)]).toEqual([file, false]);
  }
  await own.close();
  for (const file of readdirSync(data)) {
    expect([file, readFileSync(join(data, file)).includes(marker)]).toEqual([file, false]);
  }
});

test("a restart goes on with the same bits, and a backup is the same users", async () => {
  const data = newFolder();
  const first = await startTestService({ data });
  await first.call("PUT", "/v1/indexes/shop/documents", { documents: SHOP });
  const event = { user: "ann", index: "shop", query: "orange", shown: ["d0", "d1"], chosen: "d0" };
  for (let i = 0; i < 40; i++) await first.call("POST", "/v1/feedback", { ...event, id: `r${i}` });
  const ask = { query: "orange", user: "ann" };
  const before = (await first.call("POST", "/v1/indexes/shop/search", ask)).json.hits;
  const { folder } = (await first.call("POST", "/admin/backup")).json;
  await first.close();
  for (const place of [data, folder]) {
    const again = await startTestService({ data: place });
    expect((await again.call("POST", "/v1/indexes/shop/search", ask)).json.hits).toEqual(before);
    expect((await again.call("POST", "/v1/feedback", { ...event, id: "r0" })).json.results[0].status).toBe("duplicate");
    await again.close();
  }
});

test("operations: health, metrics without users, the routes, the status page", async () => {
  expect((await call("GET", "/livez")).status).toBe(200);
  expect((await call("GET", "/readyz")).status).toBe(200);
  await click("metric-user");
  const metrics = (await call("GET", "/metrics")).text;
  expect(metrics).toMatch(/microlora_feedback_events_total\{status="learned"\} [1-9]/);
  expect(metrics).toMatch(/microlora_http_request_duration_seconds_bucket/);
  expect(metrics).not.toMatch(/metric-user|"ann"|"eve"/);
  const { paths } = (await call("GET", "/openapi.json")).json;
  expect(Object.keys(paths)).toEqual(expect.arrayContaining(["/v1/embeddings", "/v1/feedback", "/v1/users/{user}"]));
  const page = await call("GET", "/");
  expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(page.text).not.toMatch(/https?:\/\//);
});

test("an empty body is none, whatever type it is said to have", async () => {
  const json = { "content-type": "application/json" };
  await click("empty");
  expect((await call("POST", "/v1/users/empty/consolidate", "", json)).status).toBe(200);
  expect((await call("DELETE", "/v1/users/empty", "", json)).status).toBe(200);
  expect((await call("POST", "/embed", "", json)).status).toBe(400);
});

test("chat says that there is no language model", async () => {
  const body = { model: "any", messages: [{ role: "user", content: "hi" }] };
  const { status, json } = await call("POST", "/v1/chat/completions", body);
  expect([status, json.error.code]).toEqual([424, "no_language_model"]);
});

test("documents of a file are there after the start, once", async () => {
  const data = newFolder();
  const { writeFileSync } = await import("node:fs");
  const file = join(data, "documents.txt");
  writeFileSync(file, 'orange phone case\n{"id":"juice","text":"fresh orange juice"}\n');
  for (let round = 1; round <= 2; round++) {
    const own = await startTestService({ data: join(data, "users"), documents: file });
    const { json } = await own.call("POST", "/v1/indexes/documents/search", { query: "orange" });
    expect(json.hits.map(({ id }: { id: string }) => id)).toEqual(["juice", "orange phone case"]);
    await own.close();
  }
});
