/**
 * Clicks that come twice, late, shuffled across users, and under an id that another click has: node packages/server/faults/duplicates.mjs [EVENTS]
 * A client per user sends batches of 50, of which a third was sent before. Some clients send the same batch at the same time.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, clickOf, DOCUMENTS, startChild } from "./child.mjs";
import { checkLedger, liveStates, report, usersOf } from "./ledger.mjs";

const EVENTS = Number(process.argv[2] ?? 100_000);
const USERS = 100;
const BATCH = 50;

const data = mkdtempSync(join(tmpdir(), "microlora-duplicates-"));
const { child, exited, url: listening } = startChild(data);
const url = await listening;
await call(url, "PUT", "/v1/indexes/shop/documents", { documents: DOCUMENTS });
const acked = new Map();
const counts = { sent: 0, learned: 0, duplicates: 0, otherPayload: 0, conflicts: 0, otherAnswer: 0 };

async function send(events) {
  const { json } = await call(url, "POST", "/v1/feedback", { events });
  for (const { id, status, seq, code } of json.results) {
    counts.sent++;
    if (code === "idempotency-conflict") counts.conflicts++;
    else if (status === "learned") counts.learned++;
    else if (status === "duplicate") counts.duplicates++;
    else throw new Error(`${id}: ${status} ${code}`);
    if (seq === undefined) continue;
    if (acked.has(id) && acked.get(id) !== seq) counts.otherAnswer++;
    acked.set(id, seq);
  }
}

async function client(user) {
  for (let first = 0; first < EVENTS / USERS; ) {
    const fresh = Array.from({ length: Math.ceil(BATCH * 0.7) }, () => clickOf(user, first++));
    const old = Array.from({ length: BATCH - fresh.length }, () => clickOf(user, Math.floor(Math.random() * first)));
    const events = [...fresh, ...old].sort(() => Math.random() - 0.5);
    const isTwice = Math.random() < 0.2;
    await Promise.all([send(events), ...(isTwice ? [send(events)] : [])]);
    const other = clickOf(user, Math.floor(Math.random() * first));
    counts.otherPayload++;
    await send([{ ...other, chosen: other.shown.find((id) => id !== other.chosen) }]);
  }
}

const users = Array.from({ length: USERS }, (_, i) => `user-${i}`);
await Promise.all(users.map(client));
const live = await liveStates(url, users);
child.kill("SIGTERM");
await exited;
report("duplicates", { ...counts, ...(await checkLedger(await usersOf(data), acked, live)) });
if (counts.conflicts !== counts.otherPayload || counts.otherAnswer > 0) process.exitCode = 1;
rmSync(data, { recursive: true });
