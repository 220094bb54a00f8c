/**
 * Records what clients saw of one service, which is killed now and then: node packages/server/faults/linearizable/record.mjs [HISTORIES] > histories.ndjson
 * A history is one user: eight clients learn, learn again under a taken id, and read the version, at once. Every fifth history has a SIGKILL in it.
 * With DATABASE=postgres://… two services share a database, and clients learn at both; reads are left out, since they may be a second old.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { call, clickOf, DOCUMENTS, startChild } from "../child.mjs";

const HISTORIES = Number(process.argv[2] ?? 500);
const { DATABASE: database } = process.env;
const CLIENTS = 8;
const CALLS = 8;
/** Ids are few, so that some come twice. */
const IDS = 24;

const data = mkdtempSync(join(tmpdir(), "microlora-histories-"));
const services = Array.from({ length: database === undefined ? 1 : 2 }, (_, i) => ({ folder: join(data, `${i}`) }));
const any = (list) => list[Math.floor(Math.random() * list.length)];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function start(service) {
  const { child, exited, url } = startChild(service.folder, { options: database === undefined ? {} : { database } });
  Object.assign(service, { child, exited, url: await url });
}

/** The version that a search sees; undefined where no answer came. */
async function readVersion(url, user) {
  try {
    const body = JSON.stringify({ query: "orange", user, limit: 1 });
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${url}/v1/indexes/shop/search`, { method: "POST", headers, body });
    return answer.ok ? Number((await answer.json()).version) : undefined;
  } catch {
    return undefined;
  }
}

/** One operation, with when it began and ended; without an end, nobody knows whether it took effect. */
async function operate(client, user) {
  const isRead = database === undefined && Math.random() < 0.4;
  const { url } = any(services);
  const id = Math.floor(Math.random() * IDS);
  const begin = performance.now();
  const seen = isRead
    ? await readVersion(url, user)
    : (await call(url, "POST", "/v1/feedback", clickOf(user, id)))?.json.results?.[0]?.seq;
  const end = performance.now();
  // A read without an answer says nothing.
  if (isRead && seen === undefined) return [];
  return [{ client, kind: isRead ? "read" : "learn", id, begin, ...(seen !== undefined && { end, seen }) }];
}

async function history(number) {
  const user = `history-${number}`;
  const clients = Array.from({ length: CLIENTS }, async (_, client) => {
    const operations = [];
    // A client whose call was not answered is done: what is in doubt stays little enough to be checked.
    for (let i = 0; i < CALLS && operations.every(({ end }) => end !== undefined); i++) {
      operations.push(...(await operate(client, user)));
    }
    return operations;
  });
  if (number % 5 === 4) {
    await pause(Math.random() * 20);
    const service = any(services);
    service.child.kill("SIGKILL");
    await service.exited;
    const all = (await Promise.all(clients)).flat();
    await start(service);
    // What came of the operations without an answer is learned from what follows.
    for (let i = 0; i < 3; i++) all.push(...(await operate(CLIENTS, user)));
    return all;
  }
  return (await Promise.all(clients)).flat();
}

await start(services[0]);
await call(services[0].url, "PUT", "/v1/indexes/shop/documents", { documents: DOCUMENTS });
await Promise.all(services.slice(1).map(start));
for (let number = 0; number < HISTORIES; number++) console.log(JSON.stringify(await history(number)));
for (const { child, exited } of services) {
  child.kill("SIGTERM");
  await exited;
}
rmSync(data, { recursive: true });
