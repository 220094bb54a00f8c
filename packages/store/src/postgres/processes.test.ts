import { connect, createServer, type Server, type Socket } from "node:net";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Cluster, POSTGRES_PROGRAMS } from "../../cluster/cluster.mjs";
import { type TenantId, userKey } from "../contract/keys.js";
import { collect, fill, sampleEvent, text } from "../contract/samples.test-support.js";
import type { AppendOutcome, Store } from "../contract/store.js";
import { openPostgresStore } from "./node.js";

const ann = userKey("tenant", "ann");

describe.skipIf(POSTGRES_PROGRAMS === undefined)("with PostgreSQL beside it", () => {
  let cluster: Cluster;
  beforeAll(async () => {
    cluster = await Cluster.start();
  }, 60_000);
  afterAll(() => cluster.remove());

  let count = 0;
  /** Two stores over the same tables, as two processes have them. */
  async function two(run: (a: Store, b: Store) => Promise<void>): Promise<void> {
    const schema = `processes_${count++}`;
    const [a, b] = await Promise.all([1, 2].map(() => openPostgresStore(cluster.url, { schema })));
    try {
      await run(a!, b!);
    } finally {
      await Promise.all([a!.close(), b!.close()]);
    }
  }

  test("of two that append at once, each seq goes to one, and the other hears of it", () =>
    two(async (a, b) => {
      const counts = { ok: 0, conflict: 0 };
      for (let seq = 0; seq < 40; seq++) {
        const outcomes = await Promise.all([
          a.append([sampleEvent("ann", `a-${seq}`, seq)]),
          b.append([sampleEvent("ann", `b-${seq}`, seq)]),
        ]);
        const statuses = outcomes.flat().map(({ status }) => status);
        expect(statuses.toSorted()).toEqual(["conflict", "ok"]);
        for (const status of statuses) counts[status as "ok"]++;
      }
      expect(counts).toEqual({ ok: 40, conflict: 40 });
      const events = await collect(b.export(ann));
      expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    }));

  test("an id that both send at once is learned once, whoever its user is", () =>
    two(async (a, b) => {
      for (let i = 0; i < 40; i++) {
        const [first, second] = await Promise.all([
          a.append([sampleEvent(`a-${i}`, `id-${i}`, 0)]),
          b.append([sampleEvent(`b-${i}`, `id-${i}`, 0)]),
        ]);
        expect([first[0]!.status, second[0]!.status].toSorted()).toEqual(["duplicate", "ok"]);
      }
      expect((await a.users("tenant" as TenantId)).users).toHaveLength(40);
    }));

  test("many users in opposite orders do not lock each other out", () =>
    two(async (a, b) => {
      for (let round = 0; round < 10; round++) {
        const batch = (name: string) =>
          Array.from({ length: 30 }, (_, i) => sampleEvent(`user ${i}`, `${name}-${round}-${i}`, round));
        const outcomes = (await Promise.all([a.append(batch("a")), b.append(batch("b").toReversed())])).flat();
        expect(outcomes.filter(({ status }) => status === "ok")).toHaveLength(30);
        expect(outcomes.filter(({ status }) => status === "conflict")).toHaveLength(30);
      }
    }));

  test("an erasure takes along what another process appends or keeps at the same time, or comes before it", () =>
    two(async (a, b) => {
      for (let round = 0; round < 25; round++) {
        const { seq } = await a.load(ann);
        await fill(a, "ann", 1, seq);
        const [receipt, [outcome], kept] = await Promise.all([
          a.erase(ann),
          b.append([sampleEvent("ann", `late-${round}`, seq + 1)]),
          b.snapshot(ann, seq + 1, text("state")),
        ]);
        expect(receipt.existed).toBe(true);
        const { seq: closed, start, events, snapshot } = await b.load(ann);
        expect(snapshot).toBeNull();
        expect(typeof kept).toBe("boolean");
        // Either the event was erased with its user, or it came too late and conflicts.
        const expected: AppendOutcome[] = [
          { status: "ok", seq: seq + 2 },
          { status: "conflict", seq: closed },
        ];
        expect(expected).toContainEqual(outcome);
        expect({ start, events }).toEqual({ start: closed, events: [] });
      }
    }));

  test("nothing is left of an erased user in any table, but hashes", () =>
    two(async (a, b) => {
      const marker = "Mark3rOfTheUser";
      const key = userKey("tenant", marker);
      const bytes = { source: text(marker), payload: text(marker), answer: "nobody" };
      const ids = [`click of ${marker}`, "second"];
      await a.append(ids.map((id, seq) => sampleEvent(marker, id, seq, bytes)));
      await a.snapshot(key, 2, text(marker));
      await b.erase(key);
      const client = new pg.Client(cluster.url);
      await client.connect();
      const schema = `processes_${count - 1}`;
      for (const table of ["person", "event", "event_id", "snapshot"]) {
        const { rows } = await client.query(`SELECT t::text AS row FROM ${schema}.${table} t`);
        for (const { row } of rows as { row: string }[]) {
          expect(row).not.toContain(marker);
          // The answer outlives the user, and names nobody; nothing else may hold the bytes.
          expect(row).not.toContain(Buffer.from(marker).toString("hex"));
        }
      }
      await client.end();
    }));

  test("settings that may lose what was acknowledged are refused", async () => {
    const client = new pg.Client(cluster.url);
    await client.connect();
    await client.query("CREATE ROLE careless LOGIN SUPERUSER");
    await client.query("ALTER ROLE careless SET synchronous_commit = off");
    await client.end();
    const url = cluster.url.replace("postgres@", "careless@");
    await expect(openPostgresStore(url)).rejects.toMatchObject({
      code: "io-error",
      message: /synchronous_commit is off/,
    });
  });

  test("what is not an address, a schema or a server is refused by name", async () => {
    await expect(openPostgresStore("mysql://x")).rejects.toMatchObject({ code: "invalid-argument" });
    for (const schema of ["Robert'; DROP TABLE", "", "1a", "x".repeat(49)]) {
      await expect(openPostgresStore(cluster.url, { schema })).rejects.toMatchObject({ code: "invalid-argument" });
    }
    await expect(openPostgresStore("postgres://127.0.0.1:1/none")).rejects.toMatchObject({ code: "io-error" });
  });

  test(
    "a server that crashes and comes back loses nothing that was acknowledged, and the store goes on",
    () =>
      two(async (a, b) => {
        const acknowledged: string[] = [];
        let seq = 0;
        let isOver = false;
        const work = (async () => {
          while (!isOver) {
            const id = `click-${seq}`;
            try {
              const [outcome] = await a.append([sampleEvent("ann", id, seq)]);
              if (outcome!.status === "ok" || outcome!.status === "duplicate") acknowledged.push(id);
              seq++;
            } catch (error) {
              expect(error).toMatchObject({ code: "io-error" });
              await new Promise((resolve) => setTimeout(resolve, 20));
            }
          }
        })();
        for (let crash = 0; crash < 3; crash++) {
          await new Promise((resolve) => setTimeout(resolve, 300));
          cluster.stopServer("immediate");
          cluster.startServer();
        }
        await new Promise((resolve) => setTimeout(resolve, 300));
        isOver = true;
        await work;
        const ids = (await collect(b.export(ann))).map(({ id }) => id);
        expect(ids).toEqual(acknowledged);
        expect(ids.length).toBeGreaterThan(10);
      }),
    120_000,
  );

  test("a connection that is cut in the middle leaves no doubt: the same ids tell what was stored", async () => {
    const proxy = await cuttingProxy(cluster.url);
    const schema = `processes_${count++}`;
    const store = await openPostgresStore(proxy.url, { schema, timeoutMs: 2000 });
    let seq = 0;
    let failures = 0;
    const ids: string[] = [];
    for (let i = 0; i < 60; i++) {
      if (i % 4 === 0) proxy.cutSoon();
      for (;;) {
        const [outcome] = await store.append([sampleEvent("ann", `id-${i}`, seq)]).catch(() => [null]);
        if (outcome === null) {
          failures++;
          continue;
        }
        expect(outcome!.status === "ok" || (outcome!.status === "duplicate" && outcome!.same)).toBe(true);
        break;
      }
      ids.push(`id-${i}`);
      seq++;
    }
    expect(failures).toBeGreaterThan(0);
    expect((await collect(store.export(ann))).map(({ id }) => id)).toEqual(ids);
    await store.close();
    proxy.close();
  }, 60_000);
});

/** A way to a server that is cut, at a moment between a question and its answer. */
async function cuttingProxy(url: string): Promise<{ url: string; cutSoon(): void; close(): void }> {
  const { port } = new URL(url);
  const sockets = new Set<Socket>();
  let isDue = false;
  let cuts = 0;
  const server: Server = createServer((near) => {
    const far = connect(Number(port), "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on("error", () => {});
      from.on("close", () => to.destroy());
      from.on("data", (bytes) => {
        const isCut = isDue && (cuts % 2 === 0) === (from === near);
        if (!isCut) return void to.write(bytes);
        isDue = false;
        cuts++;
        // A question that arrives without an answer, or one of which a part arrives.
        if (from === near)
          to.write(bytes.subarray(0, cuts % 3 === 0 ? 10 : bytes.length), () => setTimeout(() => near.destroy(), 5));
        else near.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const own = (server.address() as { readonly port: number }).port;
  return {
    url: url.replace(port, `${own}`),
    cutSoon() {
      isDue = true;
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
