import { checkRange } from "../base/check.js";
import { refusal, shown } from "../base/errors.js";

/** Buckets of a latency histogram: bucket b counts what lies in [2^(b/4), 2^((b+1)/4)) microseconds. */
const BUCKETS = 128;
const PER_OCTAVE = 4;

/** Groups that are kept at most; the one that was quiet for longest makes room. */
const GROUPS = 256;

/** Counts of one group of requests. */
export interface GroupState {
  readonly name: string;
  readonly count: number;
  readonly rewardSum: number;
  /** Pairs of bucket and count. */
  readonly latencies: readonly (readonly [bucket: number, count: number])[];
}

/** Counts of the requests of one session or one module. */
export interface GroupReport {
  /** Number of requests. */
  readonly count: number;
  /** Mean of the rewards that their feedback had. */
  readonly meanReward: number;
  /** Microseconds, within 19 %; null where no latency was given. */
  readonly latency: { readonly p50: number; readonly p95: number; readonly p99: number } | null;
}

interface Group {
  count: number;
  rewardSum: number;
  latencies: Map<number, number>;
}

/** Counts, mean rewards and latency percentiles by name, in bounded memory. */
export class Statistics {
  readonly #groups = new Map<string, Group>();
  /** Name of the group that was added to last, which needs no moving to the end. */
  #latest: string | null = null;

  add(name: string, reward: number, latencyMicroseconds: number | null | undefined): void {
    const group = this.#groups.get(name) ?? { count: 0, rewardSum: 0, latencies: new Map() };
    group.count++;
    group.rewardSum += reward;
    if (typeof latencyMicroseconds === "number") {
      const bucket = bucketOf(latencyMicroseconds);
      group.latencies.set(bucket, (group.latencies.get(bucket) ?? 0) + 1);
    }
    if (name === this.#latest) return;
    this.#latest = name;
    this.#groups.delete(name);
    this.#groups.set(name, group);
    if (this.#groups.size > GROUPS) this.#groups.delete(this.#groups.keys().next().value as string);
  }

  report(): Readonly<Record<string, GroupReport>> {
    return Object.fromEntries([...this.#groups].map(([name, group]) => [name, reportOf(group)]));
  }

  exportState(): readonly GroupState[] {
    return [...this.#groups].map(([name, { count, rewardSum, latencies }]) => ({
      name,
      count,
      rewardSum,
      latencies: [...latencies].sort(([a], [b]) => a - b),
    }));
  }

  restore(groups: readonly GroupState[]): void {
    this.#groups.clear();
    this.#latest = null;
    for (const { name, count, rewardSum, latencies } of groups) {
      this.#groups.set(name, { count, rewardSum, latencies: new Map(latencies) });
    }
  }
}

/** @throws MicroLoraError `out-of-range`, `not-finite` */
export function checkLatency(latencyMicroseconds: number | undefined): void {
  if (latencyMicroseconds !== undefined) checkRange(latencyMicroseconds, 0, 1e15, "latencyMicroseconds");
}

/** Characters of a session's name at most: names are kept, and saved. */
const LONGEST_NAME = 256;

/** @throws MicroLoraError `invalid-argument`, `out-of-range` */
export function checkSession(session: unknown): void {
  if (session === undefined) return;
  if (typeof session !== "string") {
    throw refusal("invalid-argument", "session", `is ${shown(session)}`, "Pass a string, or leave it out");
  }
  checkRange(session.length, 0, LONGEST_NAME, "length of session");
}

function bucketOf(latency: number): number {
  return Math.min(BUCKETS - 1, Math.floor(PER_OCTAVE * Math.log2(Math.max(1, latency))));
}

function reportOf({ count, rewardSum, latencies }: Group): GroupReport {
  const sorted = [...latencies].sort(([a], [b]) => a - b);
  const told = sorted.reduce((sum, [, n]) => sum + n, 0);
  const percentile = (share: number): number => {
    let below = 0;
    for (const [bucket, n] of sorted) {
      below += n;
      if (below >= share * told) return 2 ** ((bucket + 0.5) / PER_OCTAVE);
    }
    return 0;
  };
  const latency = told === 0 ? null : { p50: percentile(0.5), p95: percentile(0.95), p99: percentile(0.99) };
  return { count, meanReward: rewardSum / count, latency };
}
