import { OnnxError } from "../base/errors.js";
import { ARCHITECTURES, type Architecture } from "./architectures.js";
import type { GgufFile } from "./read.js";

/** The sizes of a model of the Llama family, and the numbers that it computes with. */
export interface Hyperparameters {
  readonly architecture: Architecture;
  readonly name: string;
  readonly layers: number;
  /** Width of the residual stream. */
  readonly width: number;
  readonly feedForward: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headSize: number;
  readonly vocabulary: number;
  /** Tokens that the model was trained on at most. */
  readonly contextLength: number;
  readonly epsilon: number;
  /** Scores are divided by sqrt(size of a head), unless another scale is given. */
  readonly attentionScale: number;
  /** Scores are softcap tanh(scores / softcap); 0 for none. */
  readonly attentionSoftcap: number;
  readonly logitSoftcap: number;
  /** Width of the window of layers that have one; 0 for none. */
  readonly window: number;
  readonly rope: Rope;
  readonly embeddingScale: number;
  readonly residualScale: number;
  /** What logits are multiplied by. */
  readonly logitScale: number;
}

/** Rotary position embedding (Su et al. 2021). */
export interface Rope {
  /** Leading dimensions of a head that turn. */
  readonly dimensions: number;
  readonly base: number;
  /** Positions are divided by this. */
  readonly factor: number;
  /** What cosines and sines are multiplied by. */
  readonly magnitude: number;
  /** Up to this many tokens short factors apply, beyond it long ones. */
  readonly originalContext: number;
}

/** More than any model of today has; a larger number is a broken file. */
const LIMITS = { layers: 1024, width: 1 << 20, heads: 1 << 14, context: 1 << 27 };

/** @throws OnnxError `unsupported-architecture`, `invalid-gguf` */
export function hyperparametersOf({ metadata, tensors }: GgufFile): Hyperparameters {
  const name = metadata.text("general.architecture") ?? "";
  const architecture = ARCHITECTURES.get(name);
  if (architecture === undefined) refuseArchitecture(name || "not named", "");
  const number = (key: string) => metadata.number(`${name}.${key}`);
  const count = (key: string, most: number, byDefault?: number): number => {
    const value = number(key) ?? byDefault;
    if (value !== undefined && Number.isInteger(value) && value > 0 && value <= most) return value;
    const problem = value === undefined ? "is missing, or differs between layers" : `is ${value}`;
    throw new OnnxError("invalid-gguf", `${name}.${key}`, problem, "Convert the model again");
  };
  const real = (key: string, byDefault: number): number => {
    const value = number(key) ?? byDefault;
    if (Number.isFinite(value) && value >= 0) return value;
    throw new OnnxError("invalid-gguf", `${name}.${key}`, `is ${value}`, "Convert the model again");
  };
  if ((number("expert_count") ?? 0) > 0) refuseArchitecture(name, " with experts");
  const layers = count("block_count", LIMITS.layers);
  const width = count("embedding_length", LIMITS.width);
  const heads = count("attention.head_count", LIMITS.heads);
  const headSize = count("attention.key_length", LIMITS.width, Math.floor(width / heads));
  const scaled = architecture.scalesByWidth.includes(layers) ? width / heads : headSize;
  return {
    ...{ architecture, name, layers, width, heads, headSize },
    feedForward: count("feed_forward_length", LIMITS.width),
    keyValueHeads: count("attention.head_count_kv", LIMITS.heads, heads),
    vocabulary: tensors.get("token_embd.weight")?.dims[0] ?? 0,
    contextLength: count("context_length", LIMITS.context),
    epsilon: real("attention.layer_norm_rms_epsilon", 1e-5),
    attentionScale: real("attention.scale", 0) || 1 / Math.sqrt(scaled),
    attentionSoftcap: real("attn_logit_softcapping", 0),
    logitSoftcap: real("final_logit_softcapping", 0),
    window: architecture.windowPattern === 0 ? 0 : real("attention.sliding_window", architecture.defaultWindow),
    rope: ropeOf(name, metadata.text(`${name}.rope.scaling.type`), headSize, { count, real }),
    embeddingScale: real("embedding_scale", 0) || (architecture.scalesEmbeddings ? Math.sqrt(width) : 1),
    residualScale: real("residual_scale", 0) || 1,
    logitScale: 1 / (real("logit_scale", 0) || 1),
  };
}

interface Numbers {
  count(key: string, most: number, byDefault?: number): number;
  real(key: string, byDefault: number): number;
}

function ropeOf(name: string, scaling: string | undefined, headSize: number, { count, real }: Numbers): Rope {
  if (scaling !== undefined && !["none", "linear", "longrope"].includes(scaling)) {
    throw new OnnxError(
      "unsupported-architecture",
      `${name}.rope.scaling.type`,
      `is ${scaling}`,
      "Use a model without scaled positions, or with linear or long ones",
    );
  }
  return {
    dimensions: count("rope.dimension_count", headSize, headSize),
    base: real("rope.freq_base", 10_000) || 10_000,
    factor: scaling === "linear" ? real("rope.scaling.factor", 1) || 1 : 1,
    magnitude: real("rope.scaling.attn_factor", 1) || 1,
    originalContext: real("rope.scaling.original_context_length", 0),
  };
}

/** Whether a layer attends within the window only. */
export function hasWindow({ window, architecture: { windowPattern } }: Hyperparameters, layer: number): boolean {
  return window > 0 && (windowPattern === 1 || layer % windowPattern < windowPattern - 1);
}

/** Whether a layer turns queries and keys by their positions. */
export function hasRope({ architecture: { noRopeEvery } }: Hyperparameters, layer: number): boolean {
  return noRopeEvery === 0 || (layer + 1) % noRopeEvery !== 0;
}

function refuseArchitecture(name: string, what: string): never {
  throw new OnnxError(
    "unsupported-architecture",
    "general.architecture",
    `is ${name}${what}`,
    `Use a model of one of ${[...ARCHITECTURES.keys()].join(", ")}`,
  );
}
