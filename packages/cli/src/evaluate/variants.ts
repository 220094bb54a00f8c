import type { LearnerOptions } from "@microlora/evaluate";

/** Settings of a `Personalizer` that are tried beside the defaults. */
export interface Variant {
  readonly label: string;
  readonly options: LearnerOptions;
  /** The settings as code, after `dimensions`; empty for the defaults. */
  readonly code: string;
  /** What to do beside the settings. */
  readonly note?: string;
}

export const DEFAULTS: Variant = { label: "the defaults", options: {}, code: "" };

const VARIANTS: readonly Variant[] = [
  { label: "temperature 0.05", options: { config: { temperature: 0.05 } }, code: "temperature: 0.05" },
  { label: "temperature 0.2", options: { config: { temperature: 0.2 } }, code: "temperature: 0.2" },
  {
    label: "a faster general direction",
    options: { config: { slow: { learningRate: 0.1 } } },
    code: "slow: { learningRate: 0.1 }",
  },
  {
    label: "a general direction that acts on every query",
    options: { config: { slow: { gated: false } } },
    code: "slow: { gated: false }",
  },
  {
    label: "a faster recall",
    options: { config: { recall: { learningRate: 0.15 } } },
    code: "recall: { learningRate: 0.15 }",
  },
  { label: "no item term", options: { config: { items: false } }, code: "items: false" },
];

const WITH_POPULARITY: Variant = {
  label: "popularity beside it",
  options: { withPopularity: true },
  code: "",
  note: "Pass the logarithm of 1 + each document's clicks as `scores` to `rank` and `learn`: its weight is learned.",
};

/** The settings that are tried. */
export function variantsFor(isRated: boolean): readonly Variant[] {
  return [DEFAULTS, ...VARIANTS, ...(isRated ? [] : [WITH_POPULARITY])];
}
