import type { Method } from "../adapter/methods.js";
import { checkFinite, checkRange, refuseConfig } from "../base/check.js";
import type { RecallConfig } from "./recall.js";

/** The slow speed: a MicroLoRA on the query's embedding. */
export interface SlowConfig {
  readonly rank: number;
  readonly alpha: number;
  readonly bias: boolean;
  readonly learningRate: number;
  readonly ewcLambda: number;
  readonly fisherDecay: number;
  readonly optimizer?: Method;
  readonly ewc?: Method;
  readonly schedule?: Method;
  readonly clipNorm?: number | null;
}

/** What a `Personalizer` does, every default filled in. */
export interface ResolvedPersonalizer {
  readonly dimensions: number;
  /** Temperature of the softmax over the cosine scores of what was shown. */
  readonly temperature: number;
  readonly recall: RecallConfig | null;
  /** Whether the slow weights act, and learn, by the share of recall's routing that kept clicks have. */
  readonly gated: boolean;
  /** Fingerprint of the embedding model. */
  readonly baseModel: string | null;
}

/** The one module of the slow weights. */
export const SLOW_MODULE = "query";

/**
 * Values found on emoji search with unit vectors of 256 and of 384; see docs/decisions/0005-two-speeds.md, 0007-collateral.md and
 * 0013-one-place-a-query.md. Recall keeps 128 queries at 256.
 */
export const PERSONALIZER_DEFAULTS: {
  readonly temperature: number;
  readonly slow: SlowConfig;
  readonly gated: boolean;
  readonly recall: RecallConfig;
} = {
  temperature: 0.5,
  slow: { rank: 2, alpha: 4.4, bias: true, learningRate: 0.0045, ewcLambda: 300, fisherDecay: 0.95 },
  gated: true,
  recall: {
    bytes: 262_144,
    sharpness: 28,
    strength: 0.22,
    nullSimilarity: 0.35,
    learningRate: 0.1,
    mergeSimilarity: 0.9,
  },
};

/** Refuses settings, of a caller or of a file, that no `Personalizer` could have. @throws MicroLoraError */
export function checkPersonalizer(config: ResolvedPersonalizer): void {
  const { dimensions, temperature, recall, gated, baseModel } = config;
  if (!Number.isInteger(dimensions)) refuseConfig("dimensions", dimensions, "Pass the width of your embeddings");
  checkRange(dimensions, 1, 2 ** 20, "dimensions");
  checkRange(temperature, 1e-4, 1e4, "temperature");
  if (baseModel !== null && typeof baseModel !== "string") refuseConfig("baseModel", baseModel, "Pass a string");
  if (typeof gated !== "boolean") refuseConfig("slow.gated", gated, "Pass true or false");
  if (recall === null) {
    if (gated) refuseConfig("slow.gated", gated, "Leave recall on, whose routing is the gate");
    return;
  }
  if (!Number.isInteger(recall.bytes)) refuseConfig("recall.bytes", recall.bytes, "Pass a whole number of bytes");
  checkRange(recall.bytes, 0, 2 ** 30, "recall.bytes");
  checkRange(recall.sharpness, 0, 1e4, "recall.sharpness");
  checkRange(recall.strength, 0, 1e4, "recall.strength");
  checkFinite(recall.nullSimilarity, "recall.nullSimilarity");
  checkRange(recall.learningRate, 0, 1e4, "recall.learningRate");
  if (recall.mergeSimilarity !== null) checkFinite(recall.mergeSimilarity, "recall.mergeSimilarity");
}
