import { checkFinite, checkRange } from "../base/check.js";
import { refusal, shown } from "../base/errors.js";
import { bytesOf, type KeptRequest } from "./example.js";

/** A request whose feedback has yet to come. */
export interface PendingRequest extends KeptRequest {
  readonly id: string;
  /** Time at which it was kept, in the caller's milliseconds. */
  readonly at: number;
  readonly session: string | null;
  readonly latencyMicroseconds: number | null;
  /** Noise that `explore` added to the output [outFeatures], in units of its scale; null without. */
  readonly noise: Float32Array | null;
}

/** Limits of the requests that wait for feedback. */
export interface PendingLimits {
  /** Requests that are kept at most; 256 by default. The oldest makes room. */
  readonly count: number;
  /** Bytes that they take at most, their ids and the names of their sessions counted; 4 MiB by default. */
  readonly bytes: number;
  /** Age in milliseconds at which they expire; one hour by default. */
  readonly age: number;
}

export const PENDING_DEFAULTS: PendingLimits = { count: 256, bytes: 4 * 1024 * 1024, age: 3_600_000 };

/** Requests by id, bounded in count, bytes and age, by a clock that is handed in. */
export class PendingRequests {
  readonly #limits: PendingLimits;
  readonly #requests = new Map<string, PendingRequest>();
  #bytes = 0;
  #now = 0;

  constructor(limits: PendingLimits) {
    checkRange(limits.count, 1, 1e6, "pending.count");
    checkRange(limits.bytes, 1, 2 ** 32, "pending.bytes");
    checkRange(limits.age, 0, 1e15, "pending.age");
    this.#limits = limits;
  }

  get count(): number {
    return this.#requests.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The latest time that was told. */
  get now(): number {
    return this.#now;
  }

  /** Refuses a clock that runs backwards, and a request that `put` could not keep. @throws MicroLoraError */
  checkRoom(request: Omit<PendingRequest, "at">, now: number): void {
    this.checkClock(now);
    if (typeof request.id !== "string") {
      throw refusal("unknown-request", "id", `is ${shown(request.id)}`, "Give each request a string as its id");
    }
    if (this.#requests.has(request.id)) {
      throw refusal("unknown-request", "id", `${request.id} is kept already`, "Give each request an id of its own");
    }
    checkRange(sizeOf(request), 0, this.#limits.bytes, "request bytes");
  }

  /** @throws MicroLoraError `clock-backwards`, `not-finite` */
  checkClock(now: number): void {
    checkFinite(now, "now");
    if (now >= this.#now) return;
    throw refusal("clock-backwards", "now", `is ${now}, after ${this.#now}`, "Pass a clock that never goes back");
  }

  /** Keeps a request that was checked; the oldest make room. */
  put(request: Omit<PendingRequest, "at">, now: number): void {
    this.#expire(now);
    this.#requests.set(request.id, { ...request, at: now });
    this.#bytes += sizeOf(request);
    for (const oldest of this.#requests.values()) {
      if (this.#requests.size <= this.#limits.count && this.#bytes <= this.#limits.bytes) break;
      this.#remove(oldest);
    }
  }

  /** The request of an id. @throws MicroLoraError `unknown-request`, `expired-request`, `clock-backwards` */
  get(id: string, now: number): PendingRequest {
    this.checkClock(now);
    const request = this.#requests.get(id);
    if (request === undefined) {
      const problem = `${id} is not kept: never, no more, or learned from already`;
      throw refusal("unknown-request", "id", problem, "Keep the request first, and raise `pending` if it made room");
    }
    if (now - request.at <= this.#limits.age) return request;
    const problem = `${id} is ${now - request.at} ms old, beyond ${this.#limits.age}`;
    throw refusal("expired-request", "id", problem, "Raise `pending.age`, or drop such feedback");
  }

  /** The request of an id, however old; null if it is not kept. */
  find(id: string): PendingRequest | null {
    return this.#requests.get(id) ?? null;
  }

  /** After its feedback was learned from. */
  done(request: PendingRequest, now: number): void {
    this.#remove(request);
    this.#expire(now);
  }

  /** Forgets requests that nobody will be told about. */
  clear(): void {
    this.#requests.clear();
    this.#bytes = 0;
  }

  exportState(): { now: number; requests: readonly PendingRequest[] } {
    return { now: this.#now, requests: [...this.#requests.values()] };
  }

  restore({ now, requests }: { now: number; requests: readonly PendingRequest[] }): void {
    this.clear();
    for (const request of requests) this.put(request, request.at);
    this.#now = now;
  }

  #expire(now: number): void {
    this.#now = now;
    for (const request of this.#requests.values()) {
      if (now - request.at <= this.#limits.age) break;
      this.#remove(request);
    }
  }

  #remove(request: PendingRequest): void {
    this.#requests.delete(request.id);
    this.#bytes -= sizeOf(request);
  }
}

function sizeOf({ id, session, module, x, base, noise }: Omit<PendingRequest, "at">): number {
  return bytesOf(noise === null ? [x, base] : [x, base, noise], [id, module, session ?? ""]);
}
