import { crossEntropy } from "./class.js";
import { combine, vjp } from "./combine.js";
import { cosine, infoNce, triplet } from "./embedding.js";
import type { Loss } from "./loss.js";
import { dpo, klToBase, kto } from "./preference.js";
import { tokenNll } from "./tokens.js";

/** Makers of losses by the name that a `LossSource` has; what they are given came from a file. */
export type LossMakers = Readonly<Record<string, (options: never) => Loss>>;

/** The losses of this package. */
export const LOSSES = {
  combine,
  cosine,
  crossEntropy,
  dpo,
  infoNce,
  klToBase,
  kto,
  tokenNll,
  triplet,
  vjp,
} as const satisfies LossMakers;
