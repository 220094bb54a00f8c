/**
 * Several services over one PostgreSQL, which are killed or stopped for a while, while clients send each click to any of them:
 * DATABASE=postgres://… node packages/server/faults/processes.mjs [FAULTS] [PROCESSES] [MINUTES]
 * It ends after so many faults, or after so many minutes. A click that was not answered is sent again with the same id, to another process;
 * three in ten are sent again although they were.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPostgresStore } from "@microlora/store/postgres";
import { call, clickOf, DOCUMENTS, startChild } from "./child.mjs";
import { checkLedger, liveStates, report } from "./ledger.mjs";

const FAULTS = Number(process.argv[2] ?? 200);
const PROCESSES = Number(process.argv[3] ?? 2);
const END = performance.now() + 60_000 * Number(process.argv[4] ?? 60);
const database = process.env.DATABASE;
if (database === undefined) throw new Error("Set DATABASE to the address of a PostgreSQL");
const CLIENTS = 24;
/** A process is left alone for so long at most. */
const LIFE_MS = 600;
/** Longer than copies in memory may be old, and than a click waits for. */
const STOPPED_MS = 3000;

const data = mkdtempSync(join(tmpdir(), "microlora-processes-"));
const acked = new Map();
const counts = { kills: 0, stops: 0, duplicates: 0, unanswered: 0, longestGapMs: 0 };
const lastAck = new Map();
let isDone = false;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const any = (list) => list[Math.floor(Math.random() * list.length)];

/** The processes; the address of one that is down is null. */
const processes = Array.from({ length: PROCESSES }, (_, i) => ({ folder: join(data, `${i}`), url: null, child: null }));

async function start(each) {
  const { child, exited, url } = startChild(each.folder, { options: { database } });
  Object.assign(each, { child, exited });
  each.url = await url;
}

/** One client is one user; clicks are sent one after the other, three in ten twice, each to any process. */
async function client(user) {
  for (let number = 0; !isDone; ) {
    const { url } = any(processes);
    const answer = url === null ? null : await withTimeout(call(url, "POST", "/v1/feedback", clickOf(user, number)));
    const [result] = answer?.json.results ?? [];
    if (result?.seq === undefined) {
      if (url !== null) counts.unanswered++;
      await pause(10);
      continue;
    }
    if (result.status === "duplicate") counts.duplicates++;
    const known = acked.get(result.id);
    if (known !== undefined && known !== result.seq)
      throw new Error(`${result.id} was told ${known}, then ${result.seq}`);
    acked.set(result.id, result.seq);
    counts.longestGapMs = Math.max(counts.longestGapMs, performance.now() - (lastAck.get(user) ?? performance.now()));
    lastAck.set(user, performance.now());
    if (result.status === "duplicate" || Math.random() > 0.3) number++;
  }
}

/** A process that is stopped answers late; nobody waits for it. */
const withTimeout = (promise) => Promise.race([promise, pause(1500).then(() => null)]);

const started = performance.now();
await start(processes[0]);
await call(processes[0].url, "PUT", "/v1/indexes/shop/documents", { documents: DOCUMENTS });
await Promise.all(processes.slice(1).map(start));
const users = Array.from({ length: CLIENTS }, (_, i) => `user-${i}`);
const clients = users.map(client);
for (let fault = 0; fault < FAULTS && performance.now() < END; fault++) {
  await pause(Math.random() * LIFE_MS);
  const each = any(processes);
  if (fault % 4 === 3) {
    each.child.kill("SIGSTOP");
    await pause(STOPPED_MS);
    each.child.kill("SIGCONT");
    counts.stops++;
  } else {
    each.url = null;
    each.child.kill("SIGKILL");
    await each.exited;
    await start(each);
    counts.kills++;
  }
}
isDone = true;
await Promise.all(clients);
// What is in memory may be a second old; each process then agrees with the log.
await pause(1100);
const lives = [];
for (const { url } of processes) lives.push(await liveStates(url, users));
for (const { child, exited } of processes) {
  child.kill("SIGTERM");
  await exited;
}
const apart = users.filter((user) => new Set(lives.map((live) => live.get(user))).size > 1).length;
counts.longestGapMs = Math.round(counts.longestGapMs);
counts.seconds = Math.round((performance.now() - started) / 1000);
const store = await openPostgresStore(database, { schema: "microlora_users" });
report(`${PROCESSES} processes`, { ...counts, ...(await checkLedger(store, acked, lives[0])), apart });
if (apart > 0) process.exitCode = 1;
rmSync(data, { recursive: true });
