import { LEARNING_DEFAULTS, memoryBytes as loraBytes } from "../adapter/config.js";
import type { Method } from "../adapter/methods/method.js";
import { checkCount, checkFinite, checkRange, refuseConfig, withDefaults } from "../base/check.js";
import type { KernelsName } from "../kernels/contract.js";
import type { Runtime } from "../kernels/runtime.js";
import { LEARNER_DEFAULTS, type LearnerConfig } from "../learner/config.js";
import { MOST_ROWS, type RecallConfig, recallBytes, rowsIn } from "./recall.js";
import { type EmbedderInfo, widthOf } from "./vector-index.js";

/** The slow speed: a MicroLoRA on the query's embedding, by default its bias alone, a direction that is general. */
export interface SlowConfig {
  /** 0 by default: on the choices of real people no rank gained anything; see docs/results/people.md. */
  readonly rank: number;
  /** 4.4 by default. */
  readonly alpha: number;
  /** true by default. */
  readonly bias: boolean;
  /** 0.03 by default. */
  readonly learningRate: number;
  /** 0 by default: what is general follows the user. */
  readonly ewcLambda: number;
  /** 0.95 by default. */
  readonly fisherDecay: number;
  /** How a gradient becomes a step; SGD by default. */
  readonly optimizer?: Method;
  /** How Fisher information is gathered; online EWC by default. */
  readonly ewc?: Method;
  /** How the learning rate changes with the number of steps; constant by default. */
  readonly schedule?: Method;
  /** Length to which a longer gradient is cut; no limit by default. */
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
   * Whether they act, and learn, only as far as a query leaves open what is meant: by how little it stands out in the index searched, or,
   * without one, by the share of recall's routing that kept queries have. true by default, where recall is on.
   */
  readonly gated?: boolean;
}

/** How many queries recall keeps, told in bytes. */
export interface RecallBudget {
  /** Bytes of memory for kept queries, in place of `rows`; a query takes 4 and 3 for each dimension. No limit in bytes by default. */
  readonly bytes?: number;
}

/** Options of `Personalizer.create`. */
export interface PersonalizerConfig {
  /** Width of the embeddings; that of `embedder` by default. */
  readonly dimensions?: number;
  /** The embedder of queries and documents: its width and its fingerprint are taken from here. */
  readonly embedder?: EmbedderInfo;
  /** Temperature of the softmax over the cosine scores of what was shown; 0.1 by default. */
  readonly temperature?: number;
  /** The slow speed, what is general; false switches it off. */
  readonly slow?: (Partial<SlowConfig> & SlowStart) | false;
  /** The fast speed, the last queries; false switches it off. */
  readonly recall?: (Partial<RecallConfig> & RecallBudget) | false;
  /** Whether items that were chosen often come up again for queries that are like those learned from; true by default. */
  readonly items?: boolean;
  /**
   * What goes with updates of the slow weights: boundary, guard, replay, limits, undo; scores are cosines, at `temperature`. `maxDelta` is 1
   * by default.
   */
  readonly learning?: Omit<LearnerConfig, "score" | "temperature">;
  /** Seed of the slow weights, of exploration and of replay; 0 by default. */
  readonly seed?: number;
  /** Fingerprint of the embedding model, which a checkpoint carries; that of `embedder` by default. */
  readonly baseModel?: string;
  /** Memory and kernels to live in; the shared runtime by default. */
  readonly runtime?: Runtime;
  /** Forces the kernels of the shared runtime. */
  readonly kernels?: KernelsName;
}

/** What a `Personalizer` does, every default filled in. */
export interface ResolvedPersonalizer {
  /** Width of the embeddings. */
  readonly dimensions: number;
  /** Temperature of the softmax over the cosine scores of what was shown. */
  readonly temperature: number;
  /** Settings of recall; null where it is off. */
  readonly recall: RecallConfig | null;
  /** Whether the slow weights act, and learn, only as far as a query leaves open what is meant. */
  readonly gated: boolean;
  /** Whether items that were chosen often come up again. */
  readonly items: boolean;
  /** Fingerprint of the embedding model. */
  readonly baseModel: string | null;
}

/** The one module of the slow weights. */
export const SLOW_MODULE = "query";

/** Values found on the choices of real people; see docs/results/people.md and docs/decisions/0018-learning-rule.md. */
export const PERSONALIZER_DEFAULTS: {
  readonly temperature: number;
  readonly slow: SlowConfig;
  readonly gated: boolean;
  readonly recall: RecallConfig;
  readonly items: boolean;
  readonly maxDelta: number;
} = {
  temperature: 0.1,
  slow: { rank: 0, alpha: 4.4, bias: true, learningRate: 0.03, ewcLambda: 0, fisherDecay: 0.95 },
  gated: true,
  recall: {
    rows: 120,
    sharpness: 28,
    strength: 1,
    nullSimilarity: 0.6,
    learningRate: 0.06,
    mergeSimilarity: 0.9,
  },
  items: true,
  maxDelta: 1,
};

/** Decay of a query's kept step, per nat by which the personal loss of a click exceeds the base loss. */
export const DOUBT = 0.1;

/** Step of the weight of the caller's scores. */
export const SCORE_RATE = 0.001;

/** Every option of `slow`. */
export const SLOW_OPTIONS = {
  ...LEARNING_DEFAULTS,
  ...PERSONALIZER_DEFAULTS.slow,
  directions: undefined,
  gated: undefined,
};

const { score: _score, temperature: _temperature, ...safeguards } = LEARNER_DEFAULTS;

/** Every option of `learning`. */
export const LEARNING_OPTIONS = { ...safeguards, maxDelta: PERSONALIZER_DEFAULTS.maxDelta };

/** Every option of a `Personalizer`. */
const OPTIONS = {
  dimensions: undefined,
  embedder: undefined,
  temperature: PERSONALIZER_DEFAULTS.temperature,
  slow: undefined,
  recall: undefined,
  items: PERSONALIZER_DEFAULTS.items,
  learning: undefined,
  seed: 0,
  baseModel: undefined,
  runtime: undefined,
  kernels: undefined,
} as const;

/** @throws MicroLoraError `invalid-config`, `out-of-range` */
export function resolvePersonalizer(config: PersonalizerConfig): ResolvedPersonalizer {
  const { slow, recall, temperature, embedder, ...given } = withDefaults(OPTIONS, config);
  const dimensions =
    widthOf(given.dimensions, embedder) ?? refuseConfig("dimensions", undefined, "Pass the width of your embeddings");
  const baseModel = given.baseModel ?? embedder?.fingerprint ?? null;
  const gated = slow === false ? false : (slow?.gated ?? (recall !== false && PERSONALIZER_DEFAULTS.gated));
  const resolved = {
    dimensions,
    temperature,
    recall: recall === false ? null : resolveRecall(recall, dimensions),
    gated,
    items: given.items,
    baseModel,
  };
  checkPersonalizer(resolved);
  return resolved;
}

function resolveRecall(given: (Partial<RecallConfig> & RecallBudget) | undefined, dimensions: number): RecallConfig {
  const options = withDefaults({ ...PERSONALIZER_DEFAULTS.recall, bytes: undefined }, given, "recall");
  const { bytes, ...recall } = options;
  if (bytes === undefined) return recall;
  if (given?.rows !== undefined) refuseConfig("recall.bytes", bytes, "Pass `rows` or `bytes`, not both");
  checkRange(bytes, 0, Number.MAX_SAFE_INTEGER, "recall.bytes");
  return { ...recall, rows: rowsIn(bytes, dimensions) };
}

/** Refuses settings, of a caller or of a file, that no `Personalizer` could have. @throws MicroLoraError */
export function checkPersonalizer(config: ResolvedPersonalizer): void {
  const { dimensions, temperature, recall, gated, items, baseModel } = config;
  if (!Number.isInteger(dimensions)) refuseConfig("dimensions", dimensions, "Pass the width of your embeddings");
  checkRange(dimensions, 1, 2 ** 20, "dimensions");
  checkRange(temperature, 1e-4, 1e4, "temperature");
  if (baseModel !== null && typeof baseModel !== "string") refuseConfig("baseModel", baseModel, "Pass a string");
  if (typeof gated !== "boolean") refuseConfig("slow.gated", gated, "Pass true or false");
  if (typeof items !== "boolean") refuseConfig("items", items, "Pass true or false");
  if (recall === null) {
    if (gated) refuseConfig("slow.gated", gated, "Leave recall on, whose routing is the gate");
    return;
  }
  if (!Number.isInteger(recall.rows)) refuseConfig("recall.rows", recall.rows, "Pass a whole number of queries");
  checkRange(recall.rows, 0, MOST_ROWS, "recall.rows");
  checkRange(recall.sharpness, 0, 1e4, "recall.sharpness");
  checkRange(recall.strength, 1e-6, 1e4, "recall.strength");
  checkFinite(recall.nullSimilarity, "recall.nullSimilarity");
  checkRange(recall.learningRate, 0, 1e4, "recall.learningRate");
  if (recall.mergeSimilarity !== null) checkFinite(recall.mergeSimilarity, "recall.mergeSimilarity");
}

/** Bytes of memory that a user takes after so many clicks on different queries, beside a few kilobytes of JavaScript objects. */
export function memoryOfPersonalizer(config: PersonalizerConfig, clicks: number): number {
  const { dimensions, recall } = resolvePersonalizer(config);
  checkCount(clicks, Number.MAX_SAFE_INTEGER, "clicks");
  const kept = recall === null ? 0 : recallBytes(recall, dimensions, clicks);
  if (config.slow === false) return kept;
  const { rank, bias } = { ...PERSONALIZER_DEFAULTS.slow, ...config.slow };
  return kept + loraBytes({ hiddenSize: dimensions, rank, bias, targetModules: [SLOW_MODULE] });
}
