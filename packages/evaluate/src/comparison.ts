import type { Outcome } from "./person.js";
import { type Interval, interval, mean, percentChange } from "./statistics.js";

/** One way to rank, measured on the same people as the base. */
export interface Row {
  /** What the row is of. */
  readonly label: string;
  /** Of quality on held-out choices. */
  readonly gain: Interval;
  /** The gain of the library's defaults above that of this row, person by person. */
  readonly oursAbove: Interval;
  /** Share of people for whom quality fell. */
  readonly harmed: number;
  /** Change in percent of finding things by name; null without names. */
  readonly names: number | null;
  /** Change in percent of finding things by half the name; null without names. */
  readonly halves: number | null;
  /** MRR of held-out choices of things chosen before. */
  readonly repeats: number | null;
  /** Gain on topics that were not learned from. */
  readonly otherTopics: number | null;
  /** Gain of the choices 1 to 10, each before it was learned from. */
  readonly first: number | null;
  /** Gain of the choices 11 to 50, each before it was learned from. */
  readonly later: number | null;
  /** Mean of one call of `learn`. */
  readonly microseconds: number;
  /** Of the state after the first four fifths; null where the ranker does not tell. */
  readonly bytes: number | null;
}

type Single = { readonly [K in keyof Outcome]: Outcome[K] extends number ? K : never }[keyof Outcome];

/** One number of each outcome. */
export function valuesOf(outcomes: readonly Outcome[], key: Single): number[] {
  return outcomes.map((outcome) => outcome[key]);
}

/** Compares one way to rank with the base and with the library's defaults; all outcomes are of the same people in the same order. */
export function rowOf(label: string, own: readonly Outcome[], base: readonly Outcome[], ours: readonly Outcome[]): Row {
  const gains = own.map(({ heldOut }, i) => heldOut - base[i]!.heldOut);
  const above = ours.map(({ heldOut }, i) => heldOut - own[i]!.heldOut);
  const cost = (key: "names" | "halves") => known(percentChange(valuesOf(own, key), valuesOf(base, key)));
  const onlineGain = (from: number, to: number) =>
    known(mean(own.map(({ online }, i) => mean(online.slice(from, to)) - mean(base[i]!.online.slice(from, to)))));
  return {
    label,
    gain: interval(gains),
    oursAbove: interval(above),
    harmed: mean(gains.map((gain) => (Number.isNaN(gain) ? gain : Number(gain < 0)))),
    names: cost("names"),
    halves: cost("halves"),
    repeats: known(mean(valuesOf(own, "repeats"))),
    otherTopics: known(mean(own.map(({ otherTopics }, i) => otherTopics - base[i]!.otherTopics))),
    first: onlineGain(0, 10),
    later: onlineGain(10, 50),
    microseconds: mean(valuesOf(own, "microseconds")),
    bytes: known(mean(valuesOf(own, "bytes"))),
  };
}

/** null in place of NaN, which JSON does not have. */
export function known(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}
