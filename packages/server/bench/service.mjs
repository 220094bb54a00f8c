/**
 * Speed of the service, as ratios within one run: node packages/server/bench/service.mjs [ROUNDS] [SECONDS]
 * Client, service and disk share one machine. Each round measures all rows one after the other; a row is the median of the rounds.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import autocannon from "autocannon";
import fastify from "fastify";
import { call, clickOf, DOCUMENTS, startChild } from "../faults/child.mjs";

const ROUNDS = Number(process.argv[2] ?? 3);
const SECONDS = Number(process.argv[3] ?? 5);
const CONNECTIONS = 32;
const USERS = 200;

const data = mkdtempSync(join(tmpdir(), "microlora-bench-"));
const {
  child,
  exited,
  url: listening,
} = startChild(join(data, "users"), { options: { requestsPerMinute: 1e9, userBytes: 256 * 1024 * 1024 } });
const url = await listening;
await call(url, "PUT", "/v1/indexes/shop/documents", { documents: DOCUMENTS });
for (let i = 0; i < USERS; i++) await call(url, "POST", "/v1/feedback", clickOf(`user-${i}`, -1 - i));

// A route that answers as much JSON, and does nothing.
const sample = await call(url, "POST", "/v1/embeddings", {
  model: "microlora",
  input: "orange",
  encoding_format: "base64",
});
const noop = fastify();
noop.post("/v1/embeddings", async () => sample.json);
const noopUrl = await noop.listen({ port: 0, host: "127.0.0.1" });

let number = 0;
const headers = { "content-type": "application/json" };
const request = (path, bodyOf) => ({
  method: "POST",
  path,
  headers,
  setupRequest: (given) => ({ ...given, body: JSON.stringify(bodyOf(number++)) }),
});
const embedOf = (i) => ({ model: `microlora:user-${i % USERS}`, input: "orange juice", encoding_format: "base64" });
const embed = request("/v1/embeddings", embedOf);
const feedback = request("/v1/feedback", (i) => clickOf(`user-${i % USERS}`, i));

async function load(at, requests, connections = CONNECTIONS, rate = undefined) {
  const options = {
    url: at,
    connections,
    duration: SECONDS,
    requests,
    ...(rate !== undefined && { overallRate: rate }),
  };
  const { requests: served, latency, non2xx, errors } = await autocannon(options);
  if (non2xx + errors > 0) throw new Error(`${non2xx} answers were no success, ${errors} errors`);
  return { perSecond: served.average, p50: latency.p50, p99: latency.p99 };
}

/** Rows of 2 KB, each in a transaction of its own, with the settings of the store. */
async function bareInserts() {
  const { DatabaseSync } = process.getBuiltinModule?.("node:sqlite") ?? (await import("@photostructure/sqlite"));
  const path = join(data, `bare-${number++}`);
  const database = new DatabaseSync(path);
  database.exec(
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE event (row INTEGER PRIMARY KEY, bytes BLOB)",
  );
  const insert = database.prepare("INSERT INTO event (bytes) VALUES (?)");
  const bytes = new Uint8Array(2048);
  const end = performance.now() + 1000 * SECONDS;
  let count = 0;
  for (; performance.now() < end; count++) insert.run(crypto.getRandomValues(bytes));
  database.close();
  return { perSecond: count / SECONDS, p50: 0, p99: 0 };
}

const ROWS = {
  "no-op route": () => load(noopUrl, [embed]),
  embed: () => load(url, [embed]),
  "embed at 100 a second": () => load(url, [embed], 8, 100),
  "embed at 80 a second beside 20 clicks": async () => {
    const [embeds] = await Promise.all([load(url, [embed], 8, 80), load(url, [feedback], 4, 20)]);
    return embeds;
  },
  feedback: () => load(url, [feedback]),
  "bare SQLite insert": bareInserts,
};

const found = Object.fromEntries(Object.keys(ROWS).map((name) => [name, []]));
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, measure] of Object.entries(ROWS)) found[name].push(await measure());
}
await noop.close();
child.kill("SIGTERM");
await exited;
rmSync(data, { recursive: true });

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const of = (name, field) => median(found[name].map((each) => each[field]));
const ratio = (a, b, field) => median(found[a].map((each, i) => each[field] / found[b][i][field])).toFixed(2);
console.log(`Node ${process.version}, ${cpus()[0].model}, ${cpus().length} cores, load ${loadavg()[0].toFixed(1)}\n`);
console.log("| | a second | p50 ms | p99 ms |\n|---|---|---|---|");
for (const name of Object.keys(ROWS)) {
  const times = name.startsWith("bare") ? " | " : `${of(name, "p50")} | ${of(name, "p99")}`;
  console.log(`| ${name} | ${Math.round(of(name, "perSecond"))} | ${times} |`);
}
console.log("\n| ratio | found |\n|---|---|");
console.log(`| embed / no-op route, a second | ${ratio("embed", "no-op route", "perSecond")} |`);
console.log(`| feedback / bare SQLite insert, a second | ${ratio("feedback", "bare SQLite insert", "perSecond")} |`);
const mixed = ratio("embed at 80 a second beside 20 clicks", "embed at 100 a second", "p99");
console.log(`| p99 of embed under 20 % feedback / alone | ${mixed} |`);
