/**
 * Feedback on PostgreSQL, as ratios within one run: node packages/server/bench/postgres.mjs [ROUNDS] [SECONDS]
 * Clients, services and database share one machine. A bare insert is one row of 2 KB in a transaction of its own, by as many connections as there are
 * clients at once.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import autocannon from "autocannon";
import pg from "pg";
import { Cluster } from "../../store/cluster/cluster.mjs";
import { call, clickOf, DOCUMENTS, startChild } from "../faults/child.mjs";

const ROUNDS = Number(process.argv[2] ?? 3);
const SECONDS = Number(process.argv[3] ?? 5);
const CONNECTIONS = 32;
const USERS = 200;

const cluster = await Cluster.start();
const data = mkdtempSync(join(tmpdir(), "microlora-bench-"));
const options = { database: cluster.url, requestsPerMinute: 1e9, userBytes: 256 * 1024 * 1024 };
const services = ["one", "other"].map((name) => ({ name }));
for (const service of services) {
  Object.assign(service, startChild(join(data, service.name), { options }));
  service.url = await service.url;
}
const [one, other] = services;
await call(one.url, "PUT", "/v1/indexes/shop/documents", { documents: DOCUMENTS });

let number = 0;
const headers = { "content-type": "application/json" };
/** Clicks of the users that a service is given. */
function clicks(remainder, count) {
  const bodyOf = (i) => clickOf(`user-${(i * count + remainder) % USERS}`, i);
  return {
    method: "POST",
    path: "/v1/feedback",
    headers,
    setupRequest: (given) => ({ ...given, body: JSON.stringify(bodyOf(number++)) }),
  };
}
const embed = {
  method: "POST",
  path: "/v1/embeddings",
  headers,
  setupRequest: (given) => {
    const body = { model: `microlora:user-${number++ % USERS}`, input: "orange juice", encoding_format: "base64" };
    return { ...given, body: JSON.stringify(body) };
  },
};

async function load(url, request, connections) {
  const { requests, latency, non2xx, errors } = await autocannon({
    url,
    connections,
    duration: SECONDS,
    requests: [request],
  });
  if (non2xx + errors > 0) throw new Error(`${non2xx} answers were no success, ${errors} errors`);
  return { perSecond: requests.average, p50: latency.p50, p99: latency.p99 };
}

async function bareInserts() {
  const pool = new pg.Pool({ connectionString: cluster.url, max: CONNECTIONS });
  await pool.query("CREATE TABLE IF NOT EXISTS bare (row bigserial PRIMARY KEY, bytes bytea)");
  const end = performance.now() + 1000 * SECONDS;
  let count = 0;
  const insert = async () => {
    const bytes = Buffer.alloc(2048);
    for (; performance.now() < end; count++) {
      await pool.query({
        name: "bare",
        text: "INSERT INTO bare (bytes) VALUES ($1)",
        values: [crypto.getRandomValues(bytes)],
      });
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, insert));
  await pool.end();
  return { perSecond: count / SECONDS, p50: 0, p99: 0 };
}

const ROWS = {
  "bare insert": bareInserts,
  "feedback, one service": () => load(one.url, clicks(0, 1), CONNECTIONS),
  "feedback, two services": async () => {
    const half = await Promise.all([one, other].map(({ url }, i) => load(url, clicks(i, 2), CONNECTIONS / 2)));
    const [a, b] = half;
    return { perSecond: a.perSecond + b.perSecond, p50: Math.max(a.p50, b.p50), p99: Math.max(a.p99, b.p99) };
  },
  "embed, one service": () => load(one.url, embed, CONNECTIONS),
};
const found = Object.fromEntries(Object.keys(ROWS).map((name) => [name, []]));
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, measure] of Object.entries(ROWS)) found[name].push(await measure());
}
for (const { child, exited } of services) {
  child.kill("SIGTERM");
  await exited;
}
cluster.remove();
rmSync(data, { recursive: true });

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const of = (name, field) => median(found[name].map((each) => each[field]));
const ratio = (a, b) => median(found[a].map((each, i) => each.perSecond / found[b][i].perSecond)).toFixed(2);
console.log(`Node ${process.version}, ${cpus()[0].model}, ${cpus().length} cores, load ${loadavg()[0].toFixed(1)}\n`);
console.log("| | a second | p50 ms | p99 ms |\n|---|---|---|---|");
for (const name of Object.keys(ROWS)) {
  const times = name.startsWith("bare") ? " | " : `${of(name, "p50")} | ${of(name, "p99")}`;
  console.log(`| ${name} | ${Math.round(of(name, "perSecond"))} | ${times} |`);
}
console.log("\n| ratio | found |\n|---|---|");
console.log(`| feedback / bare insert, a second | ${ratio("feedback, one service", "bare insert")} |`);
console.log(
  `| feedback of two services / of one, on the same cores | ${ratio("feedback, two services", "feedback, one service")} |`,
);
