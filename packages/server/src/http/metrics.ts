import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Home } from "../state/home.js";
import type { FeedbackResult } from "../state/learn.js";

/** What the service counts. No label names a tenant, a user or a document. */
export interface Metrics {
  readonly registry: Registry;
  readonly requests: Histogram<"method" | "route" | "status">;
  readonly feedback: Counter<"status">;
}

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export function createMetrics(home: Home): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  for (const [name, help, value] of GAUGES) {
    new Gauge({
      name: `microlora_${name}`,
      help,
      registers,
      collect() {
        this.set(value(home));
      },
    });
  }
  return {
    registry,
    requests: new Histogram({
      name: "microlora_http_request_duration_seconds",
      help: "Time from the first byte of a request to the end of its answer",
      labelNames: ["method", "route", "status"],
      buckets: SECONDS,
      registers,
    }),
    feedback: new Counter({
      name: "microlora_feedback_events_total",
      help: "Events that were learned, told again, or refused",
      labelNames: ["status"],
      registers,
    }),
  };
}

export function countFeedback({ feedback }: Metrics, results: readonly FeedbackResult[]): void {
  for (const { status } of results) feedback.inc({ status });
}

const GAUGES: readonly (readonly [name: string, help: string, value: (home: Home) => number])[] = [
  ["hot_users", "Users in memory", ({ users }) => users.metrics().hotUsers],
  ["hot_users_bytes", "Memory of the users in memory", ({ users }) => users.metrics().hotBytes],
  ["pinned_users", "Users who are in use right now", ({ users }) => users.metrics().pinnedUsers],
  ["user_loads", "Users read from the disk since the start", ({ users }) => users.metrics().loads],
  ["user_evictions", "Users who left memory since the start", ({ users }) => users.metrics().evictions],
  ["user_events_committed", "Events of users on disk since the start", ({ users }) => users.metrics().committedEvents],
  ["user_snapshots_failed", "Snapshots that failed since the start", ({ users }) => users.metrics().failedSnapshots],
  ["hot_indexes", "Indexes in memory", ({ indexes }) => indexes.metrics().hotUsers],
  ["hot_indexes_bytes", "Memory of the indexes in memory", ({ indexes }) => indexes.metrics().hotBytes],
  ["shown_requests", "Searches that wait for feedback", ({ shown }) => shown.size],
];
