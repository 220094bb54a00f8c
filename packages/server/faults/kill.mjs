/**
 * Kills a service with SIGKILL again and again, while clients that outlive it send clicks: node packages/server/faults/kill.mjs [LOOPS] [MINUTES]
 * It ends after so many loops, or after so many minutes.
 * A click that was not answered is sent again with the same id.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, clickOf, DOCUMENTS, startChild } from "./child.mjs";
import { checkLedger, liveStates, report, usersOf } from "./ledger.mjs";

const LOOPS = Number(process.argv[2] ?? 1000);
const END = performance.now() + 60_000 * Number(process.argv[3] ?? 240);
const CLIENTS = 32;
/** A process is killed after so many clicks were acknowledged at most, or after this time. */
const MOST_CLICKS = 300;
const LIFE_MS = 5000;

const data = mkdtempSync(join(tmpdir(), "microlora-kill-"));
const acked = new Map();
const counts = { loops: 0, duplicates: 0, unanswered: 0, longestGapMs: 0 };
let url = null;
let isDone = false;
let lastAck = performance.now();

/** One client is one user; clicks are sent one after the other, every fifth twice. */
async function client(user) {
  for (let number = 0; !isDone; ) {
    const at = url;
    const answer = at === null ? null : await call(at, "POST", "/v1/feedback", clickOf(user, number));
    const [result] = answer?.json.results ?? [];
    if (result === undefined) {
      if (at !== null) counts.unanswered++;
      await new Promise((resolve) => setTimeout(resolve, 10));
      continue;
    }
    if (result.status === "duplicate") counts.duplicates++;
    const known = acked.get(result.id);
    if (known !== undefined && known !== result.seq)
      throw new Error(`${result.id} was told ${known}, then ${result.seq}`);
    acked.set(result.id, result.seq);
    counts.longestGapMs = Math.max(counts.longestGapMs, performance.now() - lastAck);
    lastAck = performance.now();
    if (number % 5 !== 0 || result.status === "duplicate") number++;
  }
}

/** Waits until so many clicks are acknowledged. */
async function life(wanted) {
  const end = performance.now() + LIFE_MS;
  while (acked.size < wanted && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 1));
}

async function start() {
  const service = startChild(data);
  const at = await service.url;
  if (counts.loops === 0) await call(at, "PUT", "/v1/indexes/shop/documents", { documents: DOCUMENTS });
  url = at;
  return service;
}

const started = performance.now();
const users = Array.from({ length: CLIENTS }, (_, i) => `user-${i}`);
const clients = users.map(client);
for (; counts.loops < LOOPS && performance.now() < END; counts.loops++) {
  const { child, exited } = await start();
  await life(acked.size + Math.floor(Math.random() * MOST_CLICKS));
  url = null;
  child.kill("SIGKILL");
  await exited;
  if ((counts.loops + 1) % 50 === 0) console.log(`${counts.loops + 1} kills, ${acked.size} clicks acknowledged`);
}
const { child, exited, url: last } = await start();
isDone = true;
await Promise.all(clients);
const live = await liveStates(await last, users);
child.kill("SIGTERM");
await exited;
counts.longestGapMs = Math.round(counts.longestGapMs);
counts.seconds = Math.round((performance.now() - started) / 1000);
report("kill -9", { ...counts, ...(await checkLedger(await usersOf(data), acked, live)) });
rmSync(data, { recursive: true });
