/**
 * Erases users while clicks of theirs and of others come, and looks for their names in every file: node packages/server/faults/erase.mjs [USERS]
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, clickOf, DOCUMENTS, startChild } from "./child.mjs";

const USERS = Number(process.argv[2] ?? 100);
const CLICKS = 60;

const data = mkdtempSync(join(tmpdir(), "microlora-erase-"));
const { child, exited, url: listening } = startChild(data);
const url = await listening;
await call(url, "PUT", "/v1/indexes/shop/documents", { documents: DOCUMENTS });
const counts = { erased: 0, clicksBefore: 0, clicksAfter: 0, remains: 0, filesWithName: 0, othersLost: 0 };
const erasedName = (i) => `erased-7f3a-${i}`;
const otherName = (i) => `other-${i}`;

/** Clicks of a user until it is erased; what comes behind the erasure begins a new life, or is refused. */
async function clicks(user, isErased) {
  let learned = 0;
  for (let n = 0; n < CLICKS && !isErased(); n++) {
    const { json } = await call(url, "POST", "/v1/feedback", clickOf(user, n));
    if (json.results?.[0]?.status === "learned") learned++;
  }
  return learned;
}

async function round(i) {
  let isErased = false;
  const racing = clicks(erasedName(i), () => isErased);
  const others = clicks(otherName(i), () => false);
  await new Promise((resolve) => setTimeout(resolve, 20 + (i % 7) * 20));
  isErased = true;
  const { json: receipt } = await call(url, "DELETE", `/v1/users/${erasedName(i)}`);
  counts.clicksBefore += await racing;
  // A click that was under way began a new life of the user; that one is erased too.
  const { json: second } = await call(url, "DELETE", `/v1/users/${erasedName(i)}`);
  if (second.existed) counts.clicksAfter++;
  if (receipt.existed || second.existed) counts.erased++;
  counts.remains += receipt.remains.length + second.remains.length;
  if ((await others) !== CLICKS) counts.othersLost++;
}

for (let i = 0; i < USERS; i += 10)
  await Promise.all(Array.from({ length: Math.min(10, USERS - i) }, (_, k) => round(i + k)));
const search = () => {
  for (const file of readdirSync(data))
    if (readFileSync(join(data, file)).includes("erased-7f3a")) counts.filesWithName++;
};
search();
child.kill("SIGTERM");
await exited;
search();
console.log(`erase: ${JSON.stringify(counts)}`);
const { remains, filesWithName, othersLost } = counts;
if (remains + filesWithName + othersLost > 0) process.exitCode = 1;
rmSync(data, { recursive: true });
