import { expect, test } from "vitest";
import type { Scope } from "./auth/keys.js";
import { type Call, callerOf, newFolder, newKey, SHOP, startTestService } from "./service.test-support.js";

const data = newFolder();
const all: readonly Scope[] = ["read", "feedback", "admin"];
const acme = await newKey(data, "acme", all);
const other = await newKey(data, "other", all);
const reader = await newKey(data, "acme", ["read"]);
const clicker = await newKey(data, "acme", ["feedback"]);
const service = await startTestService({ data });
const as = (key: string): Call => callerOf(service.url, key);

await as(acme)("PUT", "/v1/indexes/shop/documents", { documents: SHOP });
const search = await as(acme)("POST", "/v1/indexes/shop/search", { query: "orange", user: "ann" });
const request_id: string = search.json.request_id;
await as(acme)("POST", "/v1/feedback", { id: "e1", request_id, chosen: "d0" });

test("keys: none, a wrong one and a cut one are told the same", async () => {
  const wrong = [undefined, "mlk_0_0", acme.slice(0, -1), `${acme}x`, acme.replace("mlk", "abc"), "Bearer"];
  for (const key of wrong) {
    const { status, json, headers } = await callerOf(service.url, key)("GET", "/v1/users");
    expect([status, json.code, headers.get("www-authenticate")]).toEqual([401, "unauthorized", "Bearer"]);
  }
  expect((await service.call("GET", "/v1/users", undefined, { "x-api-key": acme })).status).toBe(200);
  expect((await service.call("GET", "/livez")).status).toBe(200);
});

test("scopes: a key does what it may, and no more", async () => {
  expect((await as(reader)("POST", "/v1/feedback", { id: "x" })).status).toBe(403);
  expect((await as(reader)("DELETE", "/v1/users/ann")).status).toBe(403);
  expect((await as(reader)("POST", "/embed", { inputs: "a" })).status).toBe(200);
  expect((await as(clicker)("POST", "/embed", { inputs: "a" })).status).toBe(403);
  expect((await as(clicker)("GET", "/metrics")).status).toBe(403);
});

/** Each route that names something, as somebody else's key would ask for it. */
const PROBES: readonly { readonly method: string; readonly path: string; readonly body?: object }[] = [
  { method: "GET", path: "/v1/users/ann" },
  { method: "GET", path: "/v1/users/ann/export" },
  { method: "GET", path: "/v1/users/ann/export?format=mlora" },
  { method: "POST", path: "/v1/users/ann/rollback", body: { to_seq: 1 } },
  { method: "POST", path: "/v1/users/ann/consolidate" },
  { method: "POST", path: "/v1/users/mine/fork", body: { from: "ann" } },
  { method: "GET", path: "/v1/indexes/shop/documents/d0" },
  { method: "DELETE", path: "/v1/indexes/shop/documents/d0" },
  { method: "DELETE", path: "/v1/indexes/shop" },
  { method: "POST", path: "/v1/indexes/shop/search", body: { query: "orange" } },
  { method: "POST", path: "/v1/indexes/shop/search", body: { query: "orange", user: "ann" } },
];

test.each(PROBES)("$method $path of another tenant is as if it were not there", async ({ method, path, body }) => {
  const theirs = await as(other)(method, path, body);
  const missing = path.replace("ann", "nix").replace("shop", "nix");
  const nothing = await as(other)(method, missing, body && JSON.parse(JSON.stringify(body).replace('"ann"', '"nix"')));
  expect(theirs.status).toBe(404);
  const { instance: _, ...told } = theirs.json;
  const { instance: __, ...toldOfNothing } = nothing.json;
  expect(told).toEqual(toldOfNothing);
});

test("another tenant's users are not listed, its searches not known, its event ids its own", async () => {
  expect((await as(other)("GET", "/v1/users")).json).toEqual({ users: [], cursor: null });
  expect((await as(other)("GET", "/v1/users?cursor=ann")).json).toEqual({ users: [], cursor: null });
  const stolen = await as(other)("POST", "/v1/feedback", { id: "s1", user: "ann", request_id, chosen: "d0" });
  expect(stolen.status).toBe(410);
  const shown = SHOP.map(({ id, text }) => ({ id, text }));
  const same = await as(other)("POST", "/v1/feedback", { id: "e1", user: "ann", query: "orange", shown, chosen: "d1" });
  expect(same.json.results[0]).toMatchObject({ status: "learned", seq: 1 });
  expect((await as(acme)("GET", "/v1/users/ann")).json.version).toBe(1);
});

test("erasing a user of one tenant leaves the other's alone", async () => {
  expect((await as(other)("DELETE", "/v1/users/ann")).json.existed).toBe(true);
  expect((await as(other)("GET", "/v1/users/ann")).status).toBe(404);
  expect((await as(acme)("GET", "/v1/users/ann")).json.version).toBe(1);
});

test("1,000 requests with the other key find nothing of the first tenant", async () => {
  const call = as(other);
  const marks = /orange phone case|fresh orange juice|"d0"/;
  const statuses = new Map<number, number>();
  for (let round = 0; round < 50; round++) {
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, i) => {
        const { method, path, body } = PROBES[(round * 7 + i) % PROBES.length]!;
        return call(method, path, body);
      }),
    );
    for (const { status, text } of answers) {
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      expect(text).not.toMatch(marks);
    }
  }
  expect([...statuses]).toEqual([[404, 1000]]);
  expect((await as(acme)("GET", "/v1/indexes/shop/documents/d0")).status).toBe(200);
});

test("a key that sends too much is told when to come again; another key is not held back", async () => {
  const own = newFolder();
  const keys = [await newKey(own, "acme", ["read"]), await newKey(own, "acme", ["read"])] as const;
  const { url } = await startTestService({ data: own, requestsPerMinute: 50 });
  const ask = (key: string) => callerOf(url, key)("POST", "/embed", { inputs: "a" });
  const answers = await Promise.all(Array.from({ length: 120 }, () => ask(keys[0])));
  const late = answers.filter(({ status }) => status === 429);
  expect(late.length).toBe(70);
  expect(Number(late[0]!.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(late[0]!.json).toMatchObject({ error: expect.any(String), error_type: "Overloaded" });
  expect((await ask(keys[1])).status).toBe(200);
});

test("a removed key is refused within a second", async () => {
  const { Keys } = await import("./auth/keys.js");
  const keys = new Keys(`${data}/keys.json`);
  const id = clicker.split("_")[1]!;
  expect(await keys.remove(id)).toBe(true);
  await new Promise((resolve) => setTimeout(resolve, 1100));
  expect((await as(clicker)("POST", "/v1/feedback", { id: "x" })).status).toBe(401);
});

test("without keys, only this machine is served, by its own names", async () => {
  const open = await startTestService();
  const { request } = await import("node:http");
  const statusOf = (host: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      request(`${open.url}/v1/models`, { headers: { host } }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      })
        .on("error", reject)
        .end();
    });
  expect(await statusOf("localhost:1234")).toBe(200);
  expect(await statusOf("attacker.example")).toBe(401);
  await expect(startTestService({ host: "0.0.0.0" })).rejects.toMatchObject({ code: "invalid-option" });
});
