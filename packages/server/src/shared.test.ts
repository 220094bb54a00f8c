import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Cluster, POSTGRES_PROGRAMS } from "../../store/cluster/cluster.mjs";
import { type Call, SHOP, startTestService } from "./service.test-support.js";

/** A service looks for what others learned once a second. */
const FRESH_MS = 1000;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe.skipIf(POSTGRES_PROGRAMS === undefined)("two services over one PostgreSQL", () => {
  let cluster: Cluster;
  let one: Call;
  let other: Call;
  const services: { close(): Promise<void> }[] = [];
  beforeAll(async () => {
    cluster = await Cluster.start();
    // At once, as they start after an upgrade: one of them makes the tables.
    const started = await Promise.all([1, 2].map(() => startTestService({ database: cluster.url })));
    services.push(...started);
    [one, other] = [started[0]!.call, started[1]!.call];
    const put = await one("PUT", "/v1/indexes/shop/documents", { documents: SHOP });
    expect(put.status).toBe(200);
  }, 60_000);
  afterAll(async () => {
    await Promise.all(services.map((service) => service.close()));
    cluster.remove();
  });

  const search = (call: Call, user: string, headers = {}) =>
    call("POST", "/v1/indexes/shop/search", { query: "orange", user, limit: 4 }, headers);
  const click = (call: Call, user: string, id: string, more = {}) =>
    call("POST", "/v1/feedback", {
      ...{ id, user, index: "shop", query: "orange", shown: SHOP.map(({ id: each }) => each), chosen: "d2" },
      ...more,
    });
  const bestOf = (answer: Awaited<ReturnType<Call>>) => answer.json.hits[0].id;

  test("documents put at one are searched at the other, and a click shows there by its version at once", async () => {
    const before = bestOf(await search(other, "ann"));
    const { json } = await click(one, "ann", "ann-1");
    expect(json.results[0]).toMatchObject({ status: "learned", version: 1 });
    const after = await search(other, "ann", { "microlora-min-version": "1" });
    expect(after.headers.get("microlora-version")).toBe("1");
    const [here, there] = [(await search(one, "ann")).json.hits, after.json.hits];
    expect(there).toEqual(here);
    expect(there.find((hit: { id: string }) => hit.id === "d2").score).toBeGreaterThan(
      (await search(other, "bob")).json.hits.find((hit: { id: string }) => hit.id === "d2").score,
    );
    expect(bestOf(await search(other, "bob"))).toBe(before);
  });

  test("an event that both are sent is learned once, and another one under its id is refused", async () => {
    const [first, second] = await Promise.all([click(one, "cy", "cy-1"), click(other, "cy", "cy-1")]);
    const statuses = [first, second].map(({ json }) => json.results[0].status);
    expect(statuses.toSorted()).toEqual(["duplicate", "learned"]);
    expect((await click(other, "cy", "cy-1", { chosen: "d0" })).status).toBe(409);
  });

  test("clicks that go to both by turns are all learned, in one order", async () => {
    const ids = Array.from({ length: 30 }, (_, i) => `dan-${i}`);
    const answers = await Promise.all(ids.map((id, i) => click(i % 2 === 0 ? one : other, "dan", id)));
    const seqs = answers.map(({ json }) => json.results[0].seq);
    expect(seqs.toSorted((a: number, b: number) => a - b)).toEqual(ids.map((_, i) => i + 1));
    await pause(FRESH_MS);
    const states = await Promise.all([one, other].map((call) => call("GET", "/v1/users/dan/export?format=mlora")));
    expect(states[0]!.text).toBe(states[1]!.text);
  });

  test("after the receipt of an erasure, neither knows the user", async () => {
    await click(one, "eve", "eve-1");
    await search(other, "eve", { "microlora-min-version": "1" });
    const receipt = await one("DELETE", "/v1/users/eve");
    // PostgreSQL itself keeps dead rows for a while, which the receipt says.
    expect(receipt.status).toBe(202);
    expect(receipt.json.remains[0]).toContain("write-ahead log of PostgreSQL");
    for (const call of [one, other]) {
      expect((await call("GET", "/v1/users/eve")).status).toBe(404);
      expect((await search(call, "eve")).json.hits).toEqual((await search(call, "nobody")).json.hits);
      expect((await click(call, "eve", "eve-1")).status).toBe(410);
    }
  });

  test("a backup is made within the database", async () => {
    const { status, json } = await one("POST", "/admin/backup");
    expect(status).toBe(200);
    expect(json.folder).toMatch(/^schemas microlora_users_\d+ and microlora_documents_\d+$/);
  });

  test("while the database is away, feedback is 503; afterwards everything goes on", async () => {
    await click(one, "fay", "fay-1");
    cluster.stopServer("fast");
    const away = await click(one, "fay", "fay-2");
    expect(away.status).toBe(503);
    expect(away.headers.get("retry-after")).not.toBeNull();
    cluster.startServer();
    const { json } = await click(other, "fay", "fay-2");
    expect(json.results[0]).toMatchObject({ status: "learned", seq: 2 });
  }, 30_000);
});
