import { FormatError, shown } from "../base/errors.js";
import { isFloatDType } from "../picture/dtype.js";
import { toFloats } from "../picture/floats.js";
import { type LoraTarget, scalingOf } from "../picture/lora-file.js";
import type { Tensor } from "../picture/tensor-file.js";
import { transpose } from "../picture/transpose.js";
import type { PeftConfig } from "./config.js";
import type { Part } from "./names.js";

const LINEAR = ["lora_A.weight", "lora_B.weight"] as const;
const EMBEDDING = ["lora_embedding_A", "lora_embedding_B"] as const;

/** A and B as PEFT stores them: A [rank, in], B [out, rank], both with the kernel's sizes behind that of a convolution. */
interface Factors {
  readonly a: Tensor;
  readonly b: Tensor;
  readonly names: typeof LINEAR | typeof EMBEDDING;
  readonly rank: number;
  readonly outFeatures: number;
  /** Of a convolution. */
  readonly kernel: readonly number[] | undefined;
}

/**
 * The adapter of one module out of its tensors.
 * @throws FormatError `missing-tensor`, `bad-shape`, `unexpected-tensor`, `unsupported-variant`, `unsupported-dtype`
 */
export function readTarget(
  module: string,
  parts: ReadonlyMap<Part, Tensor>,
  { rsLora, fanInFanOut }: Pick<PeftConfig, "rsLora" | "fanInFanOut">,
  alpha: number,
): LoraTarget {
  const { a, b, names, rank, outFeatures, kernel } = factorsOf(module, parts);
  const isEmbedding = names === EMBEDDING;
  const scaling = scalingOf({ alpha, rank, rsLora });
  const bias = parts.get("lora_B.bias");
  const magnitude = parts.get("lora_magnitude_vector");
  const inFeatures = a.shape.slice(1).reduce((product, size) => product * size, 1);
  return {
    module,
    kind: isEmbedding ? "embedding" : kernel === undefined ? "linear" : "convolution",
    ...(kernel !== undefined && { kernel }),
    rank,
    inFeatures,
    outFeatures,
    alpha,
    rsLora,
    loraA: toFloats(a, `${module}.${names[0]}`),
    loraB: transpose(toFloats(b, `${module}.${names[1]}`), outFeatures, rank),
    // PEFT adds it before it scales.
    ...(bias !== undefined && { bias: toFloats(bias, `${module}.lora_B.bias`).map((value) => value * scaling) }),
    ...(magnitude !== undefined && { magnitude: toFloats(magnitude, `${module}.lora_magnitude_vector`) }),
    dtype: isFloatDType(a.dtype) && a.dtype === b.dtype ? a.dtype : "F32",
    weightLayout: fanInFanOut && names === LINEAR && kernel === undefined ? "in-out" : "out-in",
  };
}

function factorsOf(module: string, parts: ReadonlyMap<Part, Tensor>): Factors {
  const isEmbedding = parts.has("lora_embedding_A") || parts.has("lora_embedding_B");
  const names = isEmbedding ? EMBEDDING : LINEAR;
  const [a, b] = names.map((name) => factor(parts.get(name), `${module}.${name}`)) as [Tensor, Tensor];
  const extra = [...parts.keys()].find((part) => isEmbedding && !ALLOWED_BESIDE.includes(part));
  if (extra !== undefined) {
    throw new FormatError("unexpected-tensor", `${module}.${extra}`, "is beside an embedding's", "Save it again");
  }
  const [rank = 0, , ...kernel] = a.shape;
  const [outFeatures = 0, rankOfB = 0, ...kernelOfB] = b.shape;
  const isConvolution = kernel.length > 0;
  const isPlain = kernelOfB.length === kernel.length && kernelOfB.every((size) => size === 1);
  if ((isConvolution && isEmbedding) || !isPlain) refuseShape(module, a, b);
  if (isConvolution && rankOfB < rank && rank % rankOfB === 0) {
    const problem = `has rank ${rank} in A and ${rankOfB} in B: a convolution in groups`;
    throw new FormatError("unsupported-variant", module, problem, "Merge it in the program that trained it");
  }
  if (rank !== rankOfB) {
    throw new FormatError("bad-shape", module, `has rank ${rank} in A, ${rankOfB} in B`, "Save the adapter again");
  }
  return { a, b, names, rank, outFeatures, kernel: isConvolution ? kernel : undefined };
}

const ALLOWED_BESIDE: readonly Part[] = [...EMBEDDING, "lora_magnitude_vector"];

function factor(tensor: Tensor | undefined, where: string): Tensor {
  if (tensor === undefined) throw new FormatError("missing-tensor", where, "is not in the file", "Save it again");
  if (tensor.shape.length >= 2 && tensor.shape.length <= 5) return tensor;
  const shape = tensor.shape.slice(0, 8).join(" x ");
  const remedy = "Gather the shards and save again";
  throw new FormatError("bad-shape", where, `has the shape ${shown(shape)}, not of a matrix`, remedy);
}

function refuseShape(module: string, a: Tensor, b: Tensor): never {
  const problem = `has A [${a.shape.join(", ")}] and B [${b.shape.join(", ")}], which are no two factors`;
  throw new FormatError("unsupported-variant", module, problem, "Merge it in the program that trained it");
}
