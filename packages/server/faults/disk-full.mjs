/**
 * Fills the disk under a service, then makes room: node packages/server/faults/disk-full.mjs
 * It mounts a small tmpfs, which needs root.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, clickOf, DOCUMENTS, startChild } from "./child.mjs";
import { checkLedger, liveStates, report, usersOf } from "./ledger.mjs";

const folder = mkdtempSync(join(tmpdir(), "microlora-full-"));
const mount = (options) => execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", folder]);
mount("size=2m");
const { child, exited, url: listening } = startChild(join(folder, "users"));
const url = await listening;
const acked = new Map();
const statuses = new Map();
const counts = { refusedWhileFull: 0, readsWhileFull: 0, readsRefused: 0, learnedAfter: 0 };
let number = 0;

/** Sends a click; one that is refused keeps its number. */
async function click() {
  const user = `user-${number % 40}`;
  const { status, json } = await call(url, "POST", "/v1/feedback", clickOf(user, number));
  statuses.set(status, (statuses.get(status) ?? 0) + 1);
  if (status !== 200) return false;
  acked.set(json.results[0].id, json.results[0].seq);
  number++;
  return true;
}

try {
  await call(url, "PUT", "/v1/indexes/shop/documents", { documents: DOCUMENTS });
  while (counts.refusedWhileFull < 200) {
    if (await click()) continue;
    counts.refusedWhileFull++;
    const read = await call(url, "POST", "/v1/embeddings", { model: `microlora:user-${number % 40}`, input: "orange" });
    counts.readsWhileFull++;
    if (read?.status !== 200) counts.readsRefused++;
  }
  mount("remount,size=64m");
  while (counts.learnedAfter < 500) if (await click()) counts.learnedAfter++;
  const users = Array.from({ length: 40 }, (_, i) => `user-${i}`);
  const live = await liveStates(url, users);
  child.kill("SIGTERM");
  await exited;
  const ledger = await checkLedger(await usersOf(join(folder, "users")), acked, live);
  report("disk full", { ...counts, statuses: Object.fromEntries(statuses), ...ledger });
  if (counts.readsRefused > 0) process.exitCode = 1;
} finally {
  child.kill("SIGKILL");
  await exited;
  execFileSync("umount", ["--lazy", folder]);
  rmSync(folder, { recursive: true });
}
