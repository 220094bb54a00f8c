/**
 * Whether each click was on disk before it was answered: node packages/server/faults/fsync.mjs [CLICKS]
 * strace tells the order of system calls. Between the writes of a click to the log and its answer there must be an fsync or fdatasync of that
 * file which succeeded. Clicks come one at a time, so that each answer belongs to the last writes.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, clickOf, DOCUMENTS, startChild } from "./child.mjs";

const CLICKS = Number(process.argv[2] ?? 1000);
const CALLS = "trace=openat,pwrite64,fsync,fdatasync,write,writev,sendto";

const data = mkdtempSync(join(tmpdir(), "microlora-fsync-"));
const trace = join(data, "trace");
const service = startChild(join(data, "users"), {
  before: ["strace", "-f", "-y", "-e", CALLS, "-s", "200", "-o", trace],
});
const url = await service.url;
await call(url, "PUT", "/v1/indexes/shop/documents", { documents: DOCUMENTS });
let learned = 0;
for (let i = 0; i < CLICKS; i++) {
  const { json } = await call(url, "POST", "/v1/feedback", clickOf(`user-${i % 50}`, i));
  if (json.results?.[0]?.status === "learned") learned++;
}
// strace hands no signal on: the service itself is its child.
const { pid } = /^(?<pid>\d+) /.exec(readFileSync(trace, "utf8")).groups;
process.kill(Number(pid), "SIGTERM");
await service.exited;
const counts = { learned, answers: 0, syncedBefore: 0, syncs: 0 };
let unsynced = false;
let wrote = false;
for (const line of readFileSync(trace, "utf8").split("\n")) {
  const isLog = line.includes("users.sqlite-wal");
  if (isLog && line.includes("pwrite64(")) {
    unsynced = true;
    wrote = true;
  } else if (isLog && /f(?:data)?sync\(/.test(line) && line.endsWith("= 0")) {
    unsynced = false;
    counts.syncs++;
  } else if (line.includes("HTTP/1.1 200") && line.includes("microlora-version")) {
    counts.answers++;
    if (wrote && !unsynced) counts.syncedBefore++;
    wrote = false;
  }
}
console.log(`fsync before the answer: ${JSON.stringify(counts)}`);
if (counts.syncedBefore !== learned || counts.answers !== learned) process.exitCode = 1;
rmSync(data, { recursive: true });
