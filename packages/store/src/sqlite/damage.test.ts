import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MicroLoraError } from "microlora";
import { afterAll, expect, test } from "vitest";
import { type UserKey, userKey } from "../contract/keys.js";
import { fill, sampleEvent, text } from "../contract/samples.test-support.js";
import type { LoadedUser, Store, StoredEvent } from "../contract/store.js";
import { openSqliteStore } from "./node.js";

/** Damaged copies that are tried of each file; `DAMAGES` asks for more. */
const DAMAGES = Number(process.env.DAMAGES ?? 100);
/** Time for one of them, which a busy machine needs. */
const DAMAGE_MS = 1000;
const USERS = 12;
const EVENTS = 9;

const folder = mkdtempSync(join(tmpdir(), "microlora-damage-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Truth {
  readonly key: UserKey;
  readonly events: readonly StoredEvent[];
}

/** A store as a power cut leaves it: part of it in the database, part in the write-ahead log. */
async function makeStore(path: string): Promise<Truth[]> {
  const truth: Truth[] = [];
  let store = await openSqliteStore(path);
  const half = Math.ceil(EVENTS / 2);
  for (let i = 0; i < USERS; i++)
    truth.push({ key: userKey("tenant", `user ${i}`), events: await fill(store, `user ${i}`, half) });
  for (const { key } of truth.slice(0, USERS / 2)) await store.snapshot(key, half - 1, stateOf(half - 1));
  await store.close();
  store = await openSqliteStore(path);
  const all: Truth[] = [];
  for (const { key, events } of truth) {
    all.push({ key, events: [...events, ...(await fill(store, key.user, EVENTS - half, half))] });
    await store.snapshot(key, EVENTS - 1, stateOf(EVENTS - 1));
  }
  for (const end of ["", "-wal", ".witness"]) copyFileSync(`${path}${end}`, `${path}.cut${end}`);
  await store.close();
  return all;
}

function stateOf(seq: number): Uint8Array {
  return text(`state at ${seq} `.repeat(300));
}

/** What a damaged copy does: everything is as it was, or somebody is told; "silent" is what must not be. */
async function verdictOf(path: string, truth: readonly Truth[]): Promise<"whole" | "typed" | "silent"> {
  let store: Store | undefined;
  let verdict: "whole" | "typed" = "whole";
  const typed = (error: unknown) => {
    if (!(error instanceof MicroLoraError)) throw error;
    verdict = "typed";
  };
  try {
    store = await openSqliteStore(path);
    const names = new Set<string>();
    const page = await store.users(truth[0]!.key.tenant, { limit: 1000 }).catch(typed);
    for (const { user } of page?.users ?? []) names.add(user);
    for (const { key, events } of truth) {
      if (page && !names.has(key.user)) return "silent";
      const loaded = await store.load(key).catch(typed);
      if (loaded && !isRight(loaded, events)) return "silent";
      for (const seq of [2, EVENTS]) {
        const id = `${key.user}-${seq}`;
        const again = sampleEvent(key.user, id, EVENTS);
        const [outcome] = (await store.append([again]).catch(typed)) ?? [undefined];
        if (outcome?.status === "error") typed(outcome.error);
        else if (outcome && !(outcome.status === "duplicate" && outcome.same && outcome.seq === seq)) return "silent";
      }
    }
  } catch (error) {
    typed(error);
  } finally {
    await store?.close();
  }
  return verdict;
}

function isRight({ seq, start, snapshot, events }: LoadedUser, truth: readonly StoredEvent[]): boolean {
  if (seq !== EVENTS || start !== 0) return false;
  if (snapshot !== null && !same(snapshot.bytes, stateOf(snapshot.seq))) return false;
  return same(events, truth.slice(snapshot?.seq ?? 0));
}

function same(a: unknown, b: unknown): boolean {
  try {
    expect(a).toEqual(b);
    return true;
  } catch {
    return false;
  }
}

const truth = makeStore(join(folder, "store"));

test.each(["", "-wal", ".witness"])(
  "flipped bits and cut ends of store%s are repaired or told",
  async (end) => {
    const all = await truth;
    const source = join(folder, "store.cut");
    const { length } = readFileSync(`${source}${end}`);
    const counts = { whole: 0, typed: 0, silent: 0 };
    for (let i = 0; i < DAMAGES; i++) {
      const path = join(folder, `copy${end}-${i}`);
      for (const each of ["", "-wal", ".witness"]) copyFileSync(`${source}${each}`, `${path}${each}`);
      const place = Math.floor(length * fraction(i));
      const isCut = i % 6 === 5;
      if (isCut) truncateSync(`${path}${end}`, place);
      else flip(`${path}${end}`, place, i % 8);
      const verdict = await verdictOf(path, all);
      counts[verdict]++;
      if (verdict === "silent") console.log(`silent: ${isCut ? "cut at" : `bit ${i % 8} of`} byte ${place}`);
      for (const each of ["", "-wal", "-journal", ".witness"]) rmSync(`${path}${each}`, { force: true });
    }
    if (DAMAGES > 100) console.log(`store${end}: ${JSON.stringify(counts)}`);
    expect(counts.silent).toBe(0);
  },
  DAMAGES * DAMAGE_MS,
);

test("without damage the copy is whole, and a newer version is refused", async () => {
  const source = join(folder, "store.cut");
  const all = await truth;
  const path = join(folder, "whole");
  for (const each of ["", "-wal", ".witness"]) copyFileSync(`${source}${each}`, `${path}${each}`);
  expect(await verdictOf(path, all)).toBe("whole");
  const store = await openSqliteStore(path);
  await store.verify();
  await store.close();
  const bytes = readFileSync(path);
  bytes.writeUInt32BE(99, 60);
  writeFileSync(path, bytes);
  await expect(openSqliteStore(path)).rejects.toMatchObject({ code: "unsupported-version" });
});

test("a database that is gone, or replaced by an older copy, is missed", async () => {
  await truth;
  const source = join(folder, "store.cut");
  const path = join(folder, "gone");
  copyFileSync(`${source}.witness`, `${path}.witness`);
  await expect(openSqliteStore(path)).rejects.toMatchObject({ code: "lost-commits" });
  for (const end of ["", "-wal"]) rmSync(`${path}${end}`, { force: true });
  copyFileSync(source, path);
  await expect(openSqliteStore(path)).rejects.toMatchObject({ code: "lost-commits" });
  expect(existsSync(path)).toBe(true);
});

test("a file of another program is refused and left as it is", async () => {
  const path = join(folder, "other");
  writeFileSync(path, "Dear diary, ".repeat(1000));
  const before = readFileSync(path);
  await expect(openSqliteStore(path)).rejects.toMatchObject({ code: "not-a-store" });
  expect(readFileSync(path)).toEqual(before);
});

function flip(path: string, place: number, bit: number): void {
  const bytes = readFileSync(path);
  bytes[place]! ^= 1 << bit;
  writeFileSync(path, bytes);
}

/** A number in [0, 1) of its own for each i (Weyl's sequence of the golden ratio). */
function fraction(i: number): number {
  return (i * 0.6180339887498949 + 0.123) % 1;
}
