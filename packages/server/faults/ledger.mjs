/** What must be true of a store after any fault: nothing that was acknowledged is lost, learned twice, or changed. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { loadEmbedder } from "@microlora/embed";
import { openPool, personalUsers, tenantId, userKey } from "@microlora/store";
import { openSqliteStore } from "@microlora/store/sqlite";
import { Runtime } from "microlora";

const MIB = 1024 * 1024;
const hashOf = (bytes) => createHash("sha256").update(bytes).digest("hex");

/**
 * Compares the store of users of services that are stopped with what clients were told, and closes it.
 * @param acked seq by event id
 * @param live SHA-256 of a user's state as the service gave it, by user
 * @returns counts; all but the first three must be zero
 */
export async function checkLedger(store, acked, live) {
  const runtime = await Runtime.create({ kernels: "simd", memoryBytes: 128 * MIB });
  const people = personalUsers({ runtime, embedder: await loadEmbedder() });
  const counts = { acked: acked.size, users: 0, events: 0, lost: 0, twice: 0, gaps: 0, otherState: 0 };
  const found = new Map();
  try {
    await store.verify?.();
    const pool = await openPool({ store, memoryBytes: 64 * MIB, ...people });
    for (const { user, seq } of await allUsers(store)) {
      const key = userKey("default", user);
      const fromZero = people.create(null);
      let next = 1;
      for await (const event of store.export(key)) {
        if (event.seq !== next++) counts.gaps++;
        if (found.has(event.id)) counts.twice++;
        found.set(event.id, event.seq);
        fromZero.apply(event);
        counts.events++;
      }
      if (next !== seq + 1) counts.gaps++;
      const replayed = hashOf(fromZero.toBytes());
      fromZero.close();
      const loaded = await pool.with(key, (turn) => hashOf(turn.state.toBytes()));
      if (loaded !== replayed || (live.get(user) ?? replayed) !== replayed) counts.otherState++;
      counts.users++;
    }
    await pool.close();
  } finally {
    await store.close();
  }
  for (const [id, seq] of acked) if (found.get(id) !== seq) counts.lost++;
  return counts;
}

async function allUsers(store) {
  const users = [];
  let cursor;
  do {
    const page = await store.users(tenantId("default"), { limit: 1000, ...(cursor && { cursor }) });
    users.push(...page.users);
    cursor = page.cursor;
  } while (cursor !== null);
  return users;
}

/** The state of each user as a running service gives it. */
export async function liveStates(url, users) {
  const live = new Map();
  for (const user of users) {
    const answer = await fetch(`${url}/v1/users/${user}/export?format=mlora`);
    if (answer.ok) live.set(user, hashOf(new Uint8Array(await answer.arrayBuffer())));
  }
  return live;
}

/** The store of users in a folder, whose service is stopped. */
export function usersOf(data) {
  return openSqliteStore(join(data, "users.sqlite"));
}

/** Prints counts, and fails where something was lost. */
export function report(name, counts) {
  console.log(`${name}: ${JSON.stringify(counts)}`);
  const { lost, twice, gaps, otherState } = counts;
  if (lost + twice + gaps + otherState > 0) process.exitCode = 1;
}
