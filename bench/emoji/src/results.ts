import type { Metrics } from "./evaluate.js";
import { ROWS, type RowName, type Score } from "./experiment.js";
import type { FeedbackTime } from "./feedback-time.js";
import { forgettingOf, type SessionMatrix } from "./sessions.js";
import { interval95, mean } from "./statistics.js";

export type Scores = Readonly<Record<RowName, Score>>;

/** Four preferences in a row, with and without EWC and otherwise the same. */
export interface SessionResults {
  readonly withEwc: SessionMatrix;
  readonly withoutEwc: SessionMatrix;
}

/** What the table shows of one row: means over the seeds, and 95 % intervals where there are several. */
export interface RowSummary {
  readonly unseen: Metrics;
  readonly unrelated: Metrics;
  readonly clicks: number;
  /** MRR on unseen queries above that of the base, and half its interval, user by user. */
  readonly gain: { readonly mean: number; readonly interval: number };
  /** The same above the constant offset. */
  readonly overOffset: { readonly mean: number; readonly interval: number };
  /** Change of the MRR on unrelated keywords, relative to the base. */
  readonly unrelatedChange: number;
}

export type Summary = Readonly<Record<RowName, RowSummary>>;

/** Row by row mean of the runs of one user. */
export function meanScores(runs: readonly Scores[]): Scores {
  const rowOf = (name: RowName): Score => ({
    unseen: meanMetrics(runs.map((run) => run[name].unseen)),
    unrelated: meanMetrics(runs.map((run) => run[name].unrelated)),
    clicks: mean(runs.map((run) => run[name].clicks)),
  });
  return Object.fromEntries(ROWS.map((name) => [name, rowOf(name)])) as Record<RowName, Score>;
}

export function summarise(runs: readonly Scores[]): Summary {
  const over = (name: RowName, other: RowName) => {
    const differences = runs.map((run) => run[name].unseen.mrr - run[other].unseen.mrr);
    return { mean: mean(differences), interval: interval95(differences) };
  };
  const rowOf = (name: RowName): RowSummary => {
    const unrelated = meanMetrics(runs.map((run) => run[name].unrelated));
    return {
      unseen: meanMetrics(runs.map((run) => run[name].unseen)),
      unrelated,
      clicks: mean(runs.map((run) => run[name].clicks)),
      gain: over(name, "base"),
      overOffset: over(name, "offset"),
      unrelatedChange: unrelated.mrr / mean(runs.map((run) => run.base.unrelated.mrr)) - 1,
    };
  };
  return Object.fromEntries(ROWS.map((name) => [name, rowOf(name)])) as Record<RowName, RowSummary>;
}

/** What `--json` prints; MRR and forgetting are absolute, shares of 1. */
export function jsonOf(
  run: { readonly seed: number; readonly seeds: number; readonly group?: string; readonly among: string },
  summary: Summary,
  time: FeedbackTime,
  adapterBytes: number,
  sessions: SessionResults,
) {
  const { base, offset, lora, loraBias, recall, all } = summary;
  const intervals = {
    gain: all.gain,
    offsetGain: offset.gain,
    overOffset: all.overOffset,
  };
  return {
    ...run,
    clicks: all.clicks,
    before: base.unseen,
    after: all.unseen,
    baselines: { offset: offset.unseen, lora: lora.unseen, loraBias: loraBias.unseen, recall: recall.unseen },
    unrelated: { before: base.unrelated, after: all.unrelated, offset: offset.unrelated },
    adaptMicroseconds: { p50: time.p50, p99: time.p99 },
    adapterBytes,
    sessions: {
      before: mean(sessions.withEwc[0] ?? []),
      withEwc: forgettingOf(sessions.withEwc),
      withoutEwc: forgettingOf(sessions.withoutEwc),
    },
    ...(run.seeds > 1 && { intervals95: intervals }),
  };
}

function meanMetrics(metrics: readonly Metrics[]): Metrics {
  return { mrr: mean(metrics.map(({ mrr }) => mrr)), top10: mean(metrics.map(({ top10 }) => top10)) };
}
