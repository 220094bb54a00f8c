import type { WeightLayout } from "microlora";
import { FormatError } from "../base/errors.js";
import type { FloatDType } from "./dtype.js";
import type { Tensor } from "./tensor-file.js";

/**
 * What every adapter format says, in one picture: one low-rank change a module,
 * y += scaling * (x A) B + bias, with scaling = alpha / rank, or alpha / sqrt(rank) with rsLoRA.
 */
export interface LoraFile {
  /** At most one of a module. */
  readonly targets: readonly LoraTarget[];
  /** The model that the adapter was trained on: a name or path in PEFT, a fingerprint in a checkpoint. */
  readonly baseModel: string | null;
  /** Probability of dropping an input in training; 0 where a format does not say. */
  readonly dropout: number;
  /** Whole tensors of the base model that were trained and take its tensors' place, by their names there: biases, heads. */
  readonly replaced: ReadonlyMap<string, Tensor>;
  /** Frozen tensors of the base model that the file merely brings along, as PEFT does with embeddings. */
  readonly carried: ReadonlyMap<string, Tensor>;
  /** Further metadata as text, under keys that begin with the format's name; written back to that format. */
  readonly notes: ReadonlyMap<string, string>;
  /** Warnings of the reader, one sentence each, such as a pattern that matches nothing; none by default. */
  readonly warnings?: readonly string[];
}

/** The adapter of one module of a model. */
export interface LoraTarget {
  /** Path of the module in the model, such as `model.layers.0.self_attn.q_proj`. */
  readonly module: string;
  /**
   * `linear`: x is a vector. `embedding`: x is the number of a row, and x A is column x of A. `convolution`: x is a patch of
   * the input, as wide as channels times kernel.
   */
  readonly kind: "linear" | "embedding" | "convolution";
  /** Sizes of the kernel of a convolution, such as [3, 3]; B's kernel has size 1. */
  readonly kernel?: readonly number[];
  /** Rank of A and B. */
  readonly rank: number;
  /** Width of the input; of an embedding, the size of its vocabulary; of a convolution, channels times kernel. */
  readonly inFeatures: number;
  /** Width of the output. */
  readonly outFeatures: number;
  /** Numerator of the scaling. */
  readonly alpha: number;
  /** Scales by alpha / sqrt(rank) instead of alpha / rank. */
  readonly rsLora: boolean;
  /** [rank, inFeatures] */
  readonly loraA: Float32Array;
  /** [rank, outFeatures]; PEFT and GGUF have its transpose */
  readonly loraB: Float32Array;
  /** [outFeatures], added to the output as it is, unscaled */
  readonly bias?: Float32Array;
  /**
   * [outFeatures], DoRA's m: row o of the weight becomes m_o * V_o / |V_o|, of V = W + scaling * (A B)^T. Only merging can
   * compute it, since it needs W. Liu et al. 2024, equation 5.
   */
  readonly magnitude?: Float32Array;
  /** How A and B were stored, and are stored again where a format can. */
  readonly dtype: FloatDType;
  /** How the module's base weights lie in the model's own files, where the file says: `in-out` in GPT-2's Conv1D. */
  readonly weightLayout?: WeightLayout;
}

/** The parts of a file that most have nothing to say of. */
export const PLAIN_FILE = {
  baseModel: null,
  dropout: 0,
  replaced: new Map<string, Tensor>(),
  carried: new Map<string, Tensor>(),
  notes: new Map<string, string>(),
} as const satisfies Omit<LoraFile, "targets">;

/** The factor of (x A) B: alpha / rank (Hu et al. 2021), or alpha / sqrt(rank) with rsLoRA (Kalajdzievski 2023). */
export function scalingOf({ alpha, rank, rsLora }: Pick<LoraTarget, "alpha" | "rank" | "rsLora">): number {
  return alpha / (rsLora ? Math.sqrt(rank) : rank);
}

/**
 * Refuses a picture that is none: shapes that do not fit, numbers that are not finite, a module twice.
 * Every reader ends with it, and every writer begins with it.
 * @throws FormatError `bad-shape`, `not-finite`, `bad-value`, `bad-name`, `duplicate-name`
 */
export function checkLoraFile(file: LoraFile): LoraFile {
  const modules = new Set<string>();
  for (const target of file.targets) {
    if (target.module === "") throw new FormatError("bad-name", "module", "is empty", "Name the module");
    if (modules.has(target.module)) {
      throw new FormatError("duplicate-name", target.module, "has two adapters", "Merge or rename one of them");
    }
    modules.add(target.module);
    checkTarget(target);
  }
  if (!(file.dropout >= 0 && file.dropout < 1)) {
    throw new FormatError("bad-value", "dropout", `is ${file.dropout}`, "Give a probability in [0, 1)");
  }
  return file;
}

function checkTarget(target: LoraTarget): void {
  const { module, rank, inFeatures, outFeatures, loraA, loraB, bias, magnitude, alpha } = target;
  if (rank === 0 && bias !== undefined) {
    const remedy = "Keep it as a MicroLoRA checkpoint, by `toBytes`, or create the adapter with a rank of 1 or more";
    throw new FormatError(
      "unsupported-variant",
      `${module}.rank`,
      "is 0: a bias alone, which no other format has",
      remedy,
    );
  }
  for (const [name, size] of Object.entries({ rank, inFeatures, outFeatures })) {
    if (!Number.isSafeInteger(size) || size < 1) {
      throw new FormatError("bad-shape", `${module}.${name}`, `is ${size}`, "An adapter has no empty dimension");
    }
  }
  if (!Number.isFinite(alpha)) throw new FormatError("bad-value", `${module}.alpha`, `is ${alpha}`, "Give a number");
  checkFloats(loraA, rank * inFeatures, `${module}.loraA`);
  checkFloats(loraB, rank * outFeatures, `${module}.loraB`);
  if (bias !== undefined) checkFloats(bias, outFeatures, `${module}.bias`);
  if (magnitude !== undefined) checkFloats(magnitude, outFeatures, `${module}.magnitude`);
  checkKernel(target);
}

function checkKernel({ module, kind, kernel, inFeatures }: LoraTarget): void {
  const volume = kernel?.reduce((product, size) => product * size, 1);
  if ((kind === "convolution") === (volume !== undefined && Number.isSafeInteger(inFeatures / volume))) return;
  const problem = `is [${kernel?.join(", ") ?? ""}] for a ${kind} module ${inFeatures} wide`;
  throw new FormatError(
    "bad-shape",
    `${module}.kernel`,
    problem,
    "Give a convolution, and only it, its kernel's sizes",
  );
}

function checkFloats(values: Float32Array, length: number, where: string): void {
  if (values.length !== length) {
    throw new FormatError("bad-shape", where, `has ${values.length} numbers, ${length} expected`, "Write it again");
  }
  for (let i = 0; i < length; i++) {
    if (!Number.isFinite(values[i])) {
      throw new FormatError("not-finite", `${where}[${i}]`, `is ${values[i]}`, "Use an adapter that holds numbers");
    }
  }
}
