import { randomUUID } from "node:crypto";

/** What a search showed, until feedback comes. */
export interface ShownRequest {
  readonly tenant: string;
  /** The user that searched; null for nobody known. */
  readonly user: string | null;
  readonly index: string;
  /** What was searched for: a text, or a vector. */
  readonly query: string | Float32Array;
  /** Ids of what was shown, in order. */
  readonly shown: readonly string[];
}

export interface ShownLimits {
  /** How long a request is kept, in milliseconds. */
  readonly milliseconds: number;
  /** Bytes of all requests together; above it, the oldest go. */
  readonly bytes: number;
}

interface Kept extends ShownRequest {
  readonly at: number;
  readonly bytes: number;
}

const OVERHEAD_BYTES = 400;

/**
 * The searches that feedback may name by their `request_id`. They live in memory: after a restart, feedback has to say itself what was
 * searched for and shown.
 */
export class ShownRequests {
  readonly #limits: ShownLimits;
  readonly #now: () => number;
  /** By id, oldest first. */
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  constructor(limits: ShownLimits, now: () => number) {
    this.#limits = limits;
    this.#now = now;
  }

  /** @returns the id */
  keep(request: ShownRequest): string {
    const id = randomUUID();
    const { query, shown } = request;
    const queryBytes = typeof query === "string" ? 2 * query.length : 4 * query.length;
    const bytes = OVERHEAD_BYTES + queryBytes + shown.reduce((sum, each) => sum + 2 * each.length + 16, 0);
    this.#kept.set(id, { ...request, at: this.#now(), bytes });
    this.#bytes += bytes;
    for (const [oldest, { at }] of this.#kept) {
      if (this.#bytes <= this.#limits.bytes && at + this.#limits.milliseconds > this.#now()) break;
      this.#drop(oldest);
    }
    return id;
  }

  /** The request of an id; undefined if it is not kept any more, or is another tenant's. */
  find(tenant: string, id: string): ShownRequest | undefined {
    const found = this.#kept.get(id);
    if (found === undefined || found.tenant !== tenant) return undefined;
    if (found.at + this.#limits.milliseconds <= this.#now()) return undefined;
    return found;
  }

  /** Forgets what a user searched for. */
  forget(tenant: string, user: string): void {
    for (const [id, kept] of this.#kept) if (kept.tenant === tenant && kept.user === user) this.#drop(id);
  }

  get size(): number {
    return this.#kept.size;
  }

  #drop(id: string): void {
    this.#bytes -= this.#kept.get(id)!.bytes;
    this.#kept.delete(id);
  }
}
