import { LEARNING_DEFAULTS } from "../adapter/config.js";
import type { Method } from "../adapter/methods.js";
import { checkFinite, checkRange, refuseConfig, withDefaults } from "../base/check.js";
import type { KernelsName } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";
import { LEARNER_DEFAULTS, type LearnerConfig } from "./learner-config.js";
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

/** How the slow weights tell queries apart before they have learned anything. */
export interface SlowStart {
  /**
   * Rows of A [dimensions] each, one per rank, for instance `EmbeddingIndex.directions`; random ones by default. An A that
   * is made from data learns what depends on the topic (EVA, Paischer et al. 2024, initialises it so). Their length
   * counts: the step of B grows with its square.
   */
  readonly directions?: readonly Float32Array[];
  /**
   * Whether they act, and learn, by the share of recall's routing that kept clicks have, so that queries which are like none of them
   * are left alone; true by default, where recall is on.
   */
  readonly gated?: boolean;
}

export interface PersonalizerConfig {
  /** Width of the embeddings. */
  readonly dimensions: number;
  /** Temperature of the softmax over the cosine scores of what was shown. */
  readonly temperature?: number;
  /** The slow speed, a MicroLoRA on the query; false switches it off. */
  readonly slow?: (Partial<SlowConfig> & SlowStart) | false;
  /** The fast speed, the last clicks; false switches it off. */
  readonly recall?: Partial<RecallConfig> | false;
  /** What goes with updates of the slow weights: boundary, guard, replay, limits, undo; scores are cosines, at `temperature`. */
  readonly learning?: Omit<LearnerConfig, "score" | "temperature">;
  readonly seed?: number;
  /** Fingerprint of the embedding model, which a checkpoint carries. */
  readonly baseModel?: string;
  readonly runtime?: Runtime;
  readonly kernels?: KernelsName;
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

/** Every option of `slow`. */
export const SLOW_OPTIONS = {
  ...LEARNING_DEFAULTS,
  ...PERSONALIZER_DEFAULTS.slow,
  directions: undefined,
  gated: undefined,
};

const { score: _score, temperature: _temperature, ...safeguards } = LEARNER_DEFAULTS;

/** Every option of `learning`. */
export const LEARNING_OPTIONS = safeguards;

/** Every option of a `Personalizer`. */
const OPTIONS = {
  dimensions: undefined,
  temperature: PERSONALIZER_DEFAULTS.temperature,
  slow: undefined,
  recall: undefined,
  learning: undefined,
  seed: 0,
  baseModel: null,
  runtime: undefined,
  kernels: undefined,
} as const;

/** @throws MicroLoraError `invalid-config`, `out-of-range` */
export function resolvePersonalizer(config: PersonalizerConfig): ResolvedPersonalizer {
  const { slow, recall, dimensions, temperature, baseModel } = withDefaults(OPTIONS, config);
  const gated = slow === false ? false : (slow?.gated ?? (recall !== false && PERSONALIZER_DEFAULTS.gated));
  const resolved = {
    dimensions,
    temperature,
    recall: recall === false ? null : withDefaults(PERSONALIZER_DEFAULTS.recall, recall, "recall"),
    gated,
    baseModel,
  };
  checkPersonalizer(resolved);
  return resolved;
}

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
