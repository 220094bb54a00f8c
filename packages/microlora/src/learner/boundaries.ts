import type { Method } from "../adapter/methods/method.js";
import { type Bounds, savedSettings, settingsOf } from "../adapter/methods/settings.js";

/** Tells where one task ends and another begins; its state is numbers, so that it is saved. */
export interface Boundary extends Method {
  /** Tells a boundary detector from other methods. */
  readonly kind: "boundary";
  /** The same detector with other settings, as a checkpoint names them. */
  withSettings(settings: Readonly<Record<string, number>>): Boundary;
  /** The state before anything was seen. */
  start(): readonly number[];
  /** Takes note of the loss of one request, before it was learned from; whether a new task has begun. */
  step(state: readonly number[], loss: number): { readonly state: readonly number[]; readonly changed: boolean };
}

/** A boundary after every so many requests. */
export function everyRequests(requests: number): Boundary {
  return boundary(EVERY, { requests });
}

/** Settings of `pageHinkley`. */
export interface PageHinkleySettings {
  /** Rise of the loss that counts as none, in nats; 0.05 by default. */
  readonly delta?: number;
  /** Sum of rises beyond it at which a new task has begun, in nats; 10 by default. */
  readonly threshold?: number;
  /** Requests that are seen at least; 30 by default. */
  readonly least?: number;
}

/**
 * Page-Hinkley's test for a rise of the loss: m_t = sum (l_i - mean_i - delta), a change where m_t - min m > threshold (Page 1954;
 * as in Gama et al. 2014, section 3.2.2). State: four numbers.
 */
export function pageHinkley(given: PageHinkleySettings = {}): Boundary {
  return boundary(PAGE_HINKLEY, { ...given });
}

/** Settings of `adwin`. */
export interface AdwinSettings {
  /** Probability of a false alarm; 0.002 by default. */
  readonly confidence?: number;
}

/**
 * ADWIN: a window of losses that is cut wherever two of its parts have means too far apart, |m0 - m1| > sqrt(2 / m * var * ln(2 / d')) +
 * 2 / (3 m) * ln(2 / d') with m the harmonic mean of their lengths and d' = confidence / ln(length) (Bifet & Gavalda 2007, eq. 3.1),
 * in buckets of exponentially growing lengths, five a size (section 3.2). A cut is a boundary only where the loss rose. Losses are
 * not bounded by 1 as the theorem has it, so its confidence is nominal.
 */
export function adwin(given: AdwinSettings = {}): Boundary {
  return boundary(ADWIN, { ...given });
}

interface Definition<Key extends string> {
  readonly name: string;
  readonly bounds: Bounds<Key>;
  readonly start: readonly number[];
  step(
    state: readonly number[],
    loss: number,
    settings: Readonly<Record<Key, number>>,
  ): { readonly state: readonly number[]; readonly changed: boolean };
}

const EVERY: Definition<"requests"> = {
  name: "every",
  bounds: { requests: [1, 1e12, 1000] },
  start: [0],
  step([seen = 0], _, { requests }) {
    const changed = seen + 1 >= requests;
    return { state: [changed ? 0 : seen + 1], changed };
  },
};

const PAGE_HINKLEY: Definition<"delta" | "threshold" | "least"> = {
  name: "page-hinkley",
  bounds: { delta: [0, 1e6, 0.05], threshold: [0, 1e9, 10], least: [1, 1e9, 30] },
  start: [0, 0, 0, 0],
  step([count = 0, mean = 0, sum = 0, least = 0], loss, settings) {
    const seen = count + 1;
    const average = mean + (loss - mean) / seen;
    const total = sum + loss - average - settings.delta;
    const lowest = Math.min(least, total);
    const changed = seen >= settings.least && total - lowest > settings.threshold;
    return { state: changed ? [0, 0, 0, 0] : [seen, average, total, lowest], changed };
  },
};

/** Losses beyond it count as this much, so that sums of their squares stay finite. */
const LARGEST_LOSS = 1e30;

/** Buckets of one size that are kept before the two oldest become one. */
const BUCKETS = 5;

/** State: count, sum and sum of squared deviations of each bucket, the newest first. */
const ADWIN: Definition<"confidence"> = {
  name: "adwin",
  bounds: { confidence: [1e-12, 0.5, 0.002] },
  start: [],
  step(state, loss, { confidence }) {
    const buckets = merged([{ count: 1, sum: loss, spread: 0 }, ...bucketsOf(state)]);
    let changed = false;
    for (let cut = cutOf(buckets, confidence); cut !== null; cut = cutOf(buckets, confidence)) {
      changed ||= cut.rose;
      buckets.length = cut.keep;
    }
    return { state: buckets.flatMap(({ count, sum, spread }) => [count, sum, spread]), changed };
  },
};

interface Bucket {
  readonly count: number;
  readonly sum: number;
  readonly spread: number;
}

function bucketsOf(state: readonly number[]): Bucket[] {
  return Array.from({ length: Math.floor(state.length / 3) }, (_, i) => ({
    count: state[3 * i]!,
    sum: state[3 * i + 1]!,
    spread: state[3 * i + 2]!,
  }));
}

function joined(a: Bucket, b: Bucket): Bucket {
  const count = a.count + b.count;
  const apart = a.sum / a.count - b.sum / b.count;
  return { count, sum: a.sum + b.sum, spread: a.spread + b.spread + (apart * apart * a.count * b.count) / count };
}

/** Where a size has more than its share of buckets, its two oldest become one of twice the size. */
function merged(buckets: Bucket[]): Bucket[] {
  for (let size = 1; buckets.some(({ count }) => count >= size); size *= 2) {
    const first = buckets.findIndex(({ count }) => count === size);
    const same = buckets.filter(({ count }) => count === size).length;
    if (first === -1 || same <= BUCKETS) continue;
    const last = first + same - 1;
    buckets.splice(last - 1, 2, joined(buckets[last - 1]!, buckets[last]!));
  }
  return buckets;
}

/** The first place, from the newest on, where the two parts of the window are too far apart. */
function cutOf(buckets: readonly Bucket[], confidence: number): { keep: number; rose: boolean } | null {
  if (buckets.length < 2) return null;
  const all = buckets.reduce(joined);
  if (all.count < 32) return null;
  const strictness = Math.log((2 * Math.log(all.count)) / confidence);
  let recent = buckets[0]!;
  for (let i = 1; i < buckets.length; i++) {
    const [n, rest] = [recent.count, all.count - recent.count];
    const difference = recent.sum / n - (all.sum - recent.sum) / rest;
    const harmonic = 1 / (1 / n + 1 / rest);
    const bound = Math.sqrt((2 / harmonic) * (all.spread / all.count) * strictness) + (2 / (3 * harmonic)) * strictness;
    if (n >= 5 && rest >= 5 && Math.abs(difference) > bound) return { keep: i, rose: difference > 0 };
    recent = joined(recent, buckets[i]!);
  }
  return null;
}

function boundary<Key extends string>(
  definition: Definition<Key>,
  given: Readonly<Partial<Record<string, number>>>,
): Boundary {
  const settings = settingsOf(definition.name, definition.bounds, given);
  return {
    kind: "boundary",
    name: definition.name,
    settings,
    start: () => definition.start,
    step: (state, loss) => definition.step(state, Math.max(-LARGEST_LOSS, Math.min(LARGEST_LOSS, loss)), settings),
    withSettings: (saved) => boundary(definition, savedSettings(definition.name, definition.bounds, saved)),
  };
}
