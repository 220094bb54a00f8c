import type { Interval } from "@microlora/evaluate";

/** Numbers as a report has them. */
export function signed(value: number | null): string {
  if (value === null || Number.isNaN(value)) return "–";
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
}

export function fixed(value: number | null): string {
  return value === null || Number.isNaN(value) ? "–" : value.toFixed(3);
}

export function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

export function change(value: number | null): string {
  return value === null || Number.isNaN(value) ? "–" : `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(1)} %`;
}

export function intervalOf({ mean, low, high }: Interval): string {
  return `${signed(mean)} [${signed(low)}, ${signed(high)}]`;
}

export function count(value: number, noun: string): string {
  return `${value.toLocaleString("en-US")} ${noun}${value === 1 ? "" : "s"}`;
}
