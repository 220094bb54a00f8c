import type { Interval } from "@microlora/evaluate";
import { count, intervalOf, signed } from "./words.js";

/** One line of a plot of intervals. */
export interface Bar extends Interval {
  readonly label: string;
  readonly isOurs: boolean;
}

const WIDTH = 720;
const FONT = 13;

/** Text that may stand in HTML. */
export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** Means with their intervals, one below the other, around a line at zero. */
export function intervalsPlot(title: string, bars: readonly Bar[]): string {
  const left = 250;
  const step = 24;
  const height = bars.length * step + 30;
  const x = scale(extent(bars), left, WIDTH - 20);
  const rows = bars.map(({ label, mean, low, high, isOurs }, i) => {
    const y = 14 + i * step;
    return `<g class="${isOurs ? "ours" : "other"}"><title>${escaped(`${label}: ${intervalOf({ mean, low, high })}`)}</title>
<text x="${left - 10}" y="${y + 4}" text-anchor="end">${escaped(label)}</text>
<line x1="${n(x(low))}" x2="${n(x(high))}" y1="${y}" y2="${y}"/><circle cx="${n(x(mean))}" cy="${y}" r="5"/></g>`;
  });
  return figure(title, height, [...ticks(x, height - 26), ...rows]);
}

/** Means with their intervals from left to right, joined by a line. */
export function linePlot(title: string, points: readonly Bar[]): string {
  const height = 240;
  const bottom = height - 40;
  const range = extent(points);
  const y = scale(range, bottom, 14);
  const x = (i: number) => 70 + (i + 0.5) * ((WIDTH - 90) / points.length);
  const path = (values: readonly number[]) => values.map((value, i) => `${n(x(i))},${n(y(value))}`);
  const band = [...path(points.map(({ low }) => low)), ...path(points.map(({ high }) => high)).reverse()].join(" ");
  const marks = points.map(
    (point, i) =>
      `<g class="ours"><title>${escaped(`${point.label}: ${intervalOf(point)}`)}</title><circle cx="${n(x(i))}" cy="${n(y(point.mean))}" r="5"/><text x="${n(x(i))}" y="${height - 18}" text-anchor="middle">${escaped(point.label)}</text></g>`,
  );
  const lines = stepsOf(range).map(
    (value) =>
      `<line class="${value === 0 ? "zero" : "grid"}" x1="70" x2="${WIDTH - 20}" y1="${n(y(value))}" y2="${n(y(value))}"/><text x="62" y="${n(y(value) + 4)}" text-anchor="end">${signed(value)}</text>`,
  );
  return figure(title, height, [
    ...lines,
    `<polygon class="band" points="${band}"/>`,
    `<polyline class="curve" points="${path(points.map(({ mean }) => mean)).join(" ")}"/>`,
    ...marks,
  ]);
}

const BINS = 21;

/** How many users gain how much. */
export function histogram(title: string, gains: readonly number[]): string {
  const height = 200;
  const bottom = height - 30;
  const most = Math.max(0.01, ...gains.map(Math.abs));
  const bins = new Array<number>(BINS).fill(0);
  for (const gain of gains) bins[Math.min(BINS - 1, Math.floor(((gain + most) / (2 * most)) * BINS))]!++;
  const tallest = Math.max(...bins);
  const x = scale([-most, most], 30, WIDTH - 20);
  const width = (WIDTH - 50) / BINS;
  const bars = bins.map((users, i) => {
    const h = ((bottom - 14) * users) / tallest;
    const from = -most + (2 * most * i) / BINS;
    const to = from + (2 * most) / BINS;
    const kind = to <= 0 ? "loses" : from >= 0 ? "ours" : "same";
    return `<g class="${kind}"><title>${escaped(`${signed(from)} to ${signed(to)}: ${count(users, "user")}`)}</title><rect x="${n(30 + i * width + 1)}" y="${n(bottom - h)}" width="${n(width - 2)}" height="${n(h)}"/></g>`;
  });
  return figure(title, height, [...ticks(x, bottom), ...bars]);
}

type Scale = ((value: number) => number) & { readonly domain: readonly [number, number] };

function scale(domain: readonly [number, number], from: number, to: number): Scale {
  const [low, high] = domain;
  return Object.assign((value: number) => from + ((value - low) / (high - low)) * (to - from), { domain });
}

/** From the lowest to the highest end of the intervals, with zero in it. */
function extent(intervals: readonly Interval[]): readonly [number, number] {
  const low = Math.min(0, ...intervals.map((each) => each.low));
  const high = Math.max(0, ...intervals.map((each) => each.high));
  const margin = 0.05 * (high - low) || 0.01;
  return [low - margin, high + margin];
}

/** Round numbers in a range, about five. */
function stepsOf([low, high]: readonly [number, number]): number[] {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(low / step);
  const last = Math.floor(high / step);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

function ticks(x: Scale, bottom: number): string[] {
  return stepsOf(x.domain).map(
    (value) =>
      `<line class="${value === 0 ? "zero" : "grid"}" x1="${n(x(value))}" x2="${n(x(value))}" y1="4" y2="${bottom}"/><text x="${n(x(value))}" y="${bottom + 18}" text-anchor="middle">${signed(value)}</text>`,
  );
}

function figure(title: string, height: number, parts: readonly string[]): string {
  return `<figure><figcaption>${escaped(title)}</figcaption>
<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}" font-size="${FONT}">
${parts.join("\n")}
</svg></figure>`;
}

function n(value: number): string {
  return value.toFixed(1);
}
