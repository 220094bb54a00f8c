import { createHash, randomUUID } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { open, readFile, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { MicroLoraError } from "../base/errors.js";
import { onDisk, shownPath } from "./file-error.js";

/** A lock is held for some milliseconds. One that stays the same for this long was left by a killed process. */
const ABANDONED_AFTER_MILLISECONDS = 10_000;
/** The same for a lock without an owner: its process was killed between making and writing it. */
const EMPTY_FOR_MILLISECONDS = 1000;

/** So soon, nobody can have taken a lock for abandoned. */
const SAFE_FOR_MILLISECONDS = ABANDONED_AFTER_MILLISECONDS / 2;

/** Where numbers of processes mean the same: one start of one machine, and there one container. */
const MACHINE = machine();
/** Beginning of the owner of each lock of this copy of the module: a thread, or a bundle, has another one. */
const OURS = `${MACHINE} ${process.pid} ${randomUUID()} `;
/** Owners of the locks that are held. */
const ours = new Set<string>();

function machine(): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${boot}-${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return hostname();
  }
}

/** A file that is being replaced: where it is, and what the caller called it. */
export interface Place {
  readonly target: string;
  readonly path: string;
}

/**
 * Runs an action while no other process runs one on the same files, by means of a lock file beside each.
 * @param action gets a function that throws `conflict` if a lock was lost, which takes a suspension of seconds
 */
export async function withLocks<T>(
  places: readonly Place[],
  action: (check: () => Promise<void>) => Promise<T>,
): Promise<T> {
  const sorted = [...places].sort((a, b) => (a.target < b.target ? -1 : 1));
  const held: Lock[] = [];
  try {
    for (const place of sorted) held.push(await Lock.take(place));
    return await action(async () => {
      for (const lock of held) await lock.check();
    });
  } finally {
    for (const lock of held) await lock.release();
  }
}

/** The name of the lock of a file: of one length, whatever the length of the file's name. */
function lockOf(target: string): string {
  const digest = createHash("sha256").update(basename(target)).digest("hex").slice(0, 16);
  return join(dirname(target), `.${digest}.mlora-lock`);
}

class Lock {
  readonly #lock: string;
  readonly #owner = `${OURS}${randomUUID()}`;
  #since = 0;

  private constructor(private readonly place: Place) {
    this.#lock = lockOf(place.target);
  }

  static async take(place: Place): Promise<Lock> {
    const lock = new Lock(place);
    let seen: string | undefined;
    let since = 0;
    while (!(await onDisk(place.path, "writing", () => lock.#create()))) {
      const owner = await readIfThere(lock.#lock).catch(() => undefined);
      if (owner !== seen) {
        seen = owner;
        since = performance.now();
      }
      const patience = owner === "" ? EMPTY_FOR_MILLISECONDS : ABANDONED_AFTER_MILLISECONDS;
      const isAbandoned = isDead(owner) || performance.now() - since > patience;
      if (owner !== undefined && isAbandoned) await rm(lock.#lock, { force: true });
      else await delay(1 + 4 * Math.random());
    }
    return lock;
  }

  /** @returns false if the lock is there already */
  async #create(): Promise<boolean> {
    const file = await open(this.#lock, "wx", 0o600).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "EEXIST") return undefined;
      throw error;
    });
    if (file === undefined) return false;
    try {
      await file.writeFile(this.#owner).finally(() => file.close());
    } catch (error) {
      await this.#remove();
      throw error;
    }
    ours.add(this.#owner);
    this.#since = performance.now();
    return true;
  }

  async check(): Promise<void> {
    if (await onDisk(this.place.path, "writing", () => this.#isHeld())) return;
    const problem = "another process took over while this one was suspended";
    throw new MicroLoraError("conflict", shownPath(this.place.path), problem, "Load the file again");
  }

  /** A lock that cannot be removed counts as abandoned, which is no reason to fail. */
  async release(): Promise<void> {
    if (await this.#isHeld().catch(() => false)) await this.#remove();
    ours.delete(this.#owner);
  }

  async #isHeld(): Promise<boolean> {
    const isSafe = performance.now() - this.#since < SAFE_FOR_MILLISECONDS;
    return isSafe || (await readIfThere(this.#lock)) === this.#owner;
  }

  #remove(): Promise<void> {
    return rm(this.#lock, { force: true }).catch(() => {});
  }
}

async function readIfThere(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
}

/** Whether a lock's owner was a process of this machine that has ended, or let go of it. */
function isDead(owner: string | undefined): boolean {
  if (owner?.startsWith(OURS)) return !ours.has(owner);
  const [where, pid] = owner?.split(" ") ?? [];
  if (where !== MACHINE || !/^[1-9]\d*$/.test(pid ?? "")) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
