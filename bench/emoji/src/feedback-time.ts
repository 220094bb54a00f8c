import type { Personalizer } from "microlora";
import { quantile } from "./statistics.js";
import type { SeenClick } from "./user.js";

/** Microseconds of one whole feedback call. */
export interface FeedbackTime {
  readonly p50: number;
  readonly p99: number;
}

const WARM_UP = 3000;
const MEASURED = 3000;

/** Times `learn` call by call, from the ids of what was shown to the updated state, once the code is warm. */
export function measureFeedback(learner: Personalizer, clicks: readonly SeenClick[]): FeedbackTime {
  if (clicks.length === 0) return { p50: Number.NaN, p99: Number.NaN };
  for (let i = 0; i < WARM_UP; i++) learner.learn(clicks[i % clicks.length]!);
  const microseconds = new Float64Array(MEASURED);
  for (let i = 0; i < MEASURED; i++) {
    const click = clicks[i % clicks.length]!;
    const start = performance.now();
    learner.learn(click);
    microseconds[i] = 1000 * (performance.now() - start);
  }
  const times = [...microseconds];
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
}
