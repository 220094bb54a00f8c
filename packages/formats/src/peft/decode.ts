import { FormatError, shown } from "../base/errors.js";
import { decodeUtf8 } from "../base/json.js";
import { isFloatDType } from "../picture/dtype.js";
import { toFloats } from "../picture/floats.js";
import { checkLoraFile, type LoraFile, type LoraTarget, scalingOf } from "../picture/lora-file.js";
import type { Tensor, TensorFile } from "../picture/tensor-file.js";
import { transpose } from "../picture/transpose.js";
import { decodeSafetensors } from "../safetensors/safetensors.js";
import { CONFIG_FILE, type PeftConfig, readConfig } from "./config.js";
import { type Part, PREFIX, parseName } from "./names.js";
import { patternLookup } from "./patterns.js";

/** The two files of a PEFT folder. */
export interface PeftFolder {
  /** `adapter_config.json` */
  readonly config: Uint8Array;
  /** `adapter_model.safetensors` */
  readonly weights: Uint8Array;
}

/** The key of the notes under which a config is kept, to be written back. */
export const CONFIG_NOTE = "peft.config";

/**
 * What `PeftModel.save_pretrained` wrote. Ranks are those of the tensors; `rank_pattern` only repeats them.
 * @throws FormatError, among others `unsupported-variant` for DoRA and whatever else is no plain product
 */
export function decodePeft({ config, weights }: PeftFolder): LoraFile {
  return fromTensors(decodeSafetensors(weights), decodeUtf8(config, CONFIG_FILE));
}

/** The same from tensors that were read already. */
export function fromTensors({ tensors }: TensorFile, configText: string): LoraFile {
  const config = readConfig(configText);
  const modules = new Map<string, Map<Part, Tensor>>();
  const replaced = new Map<string, Tensor>();
  const carried = new Map<string, Tensor>();
  for (const [key, tensor] of tensors) {
    const { part, path } = parseName(key);
    if (part === "base") sortBase(path, tensor, tensors, { replaced, carried });
    else if (part === "base_layer.bias") (config.trainsBiases ? replaced : carried).set(`${path}.bias`, tensor);
    else if (part === "base_layer.weight") carried.set(`${path}.weight`, tensor);
    else {
      const parts = modules.get(path) ?? new Map<Part, Tensor>();
      modules.set(path, parts.set(part, tensor));
    }
  }
  if (modules.size === 0) {
    throw new FormatError("missing-tensor", "file", "holds no lora_A and lora_B", "Save the adapter with PEFT");
  }
  if (modules.size * config.alphaPattern.size > MAX_MATCHES) {
    throw new FormatError(
      "too-large",
      `${CONFIG_FILE}: alpha_pattern`,
      `has ${config.alphaPattern.size} patterns for ${modules.size} modules`,
      "Fold the scalings into B",
    );
  }
  const alphaOf = patternLookup(config.alphaPattern, `${CONFIG_FILE}: alpha_pattern`);
  const targets = [...modules].map(([module, parts]) =>
    readTarget(module, parts, config, alphaOf(module) ?? config.alpha),
  );
  return checkLoraFile({
    targets,
    baseModel: config.baseModel,
    dropout: config.dropout,
    replaced,
    carried,
    notes: new Map([[CONFIG_NOTE, JSON.stringify(Object.fromEntries(config.json))]]),
  });
}

/** With `bias="all"`, a module that was trained whole is there three times: as itself, as the wrapped, and as it was. */
const WRAPPED = /\.(modules_to_save|original_module)(?=\.[^.]+$)/;

function sortBase(
  path: string,
  tensor: Tensor,
  tensors: ReadonlyMap<string, Tensor>,
  { replaced, carried }: { replaced: Map<string, Tensor>; carried: Map<string, Tensor> },
): void {
  const [, wrapper] = WRAPPED.exec(path) ?? [];
  const itself = path.replace(WRAPPED, "");
  if (wrapper === undefined) replaced.set(path, tensor);
  else if (wrapper === "original_module" || tensors.has(PREFIX + itself)) carried.set(path, tensor);
  else replaced.set(itself, tensor);
}

function readTarget(
  module: string,
  parts: ReadonlyMap<Part, Tensor>,
  { rsLora, fanInFanOut }: PeftConfig,
  alpha: number,
): LoraTarget {
  const isEmbedding = parts.has("lora_embedding_A") || parts.has("lora_embedding_B");
  const names = isEmbedding ? (["lora_embedding_A", "lora_embedding_B"] as const) : LINEAR;
  const [a, b] = names.map((name) => matrix(parts.get(name), `${module}.${name}`)) as [Tensor, Tensor];
  const [rank, inFeatures] = a.shape as [number, number];
  const [outFeatures, rankOfB] = b.shape as [number, number];
  if (rank !== rankOfB) {
    throw new FormatError("bad-shape", module, `has rank ${rank} in A, ${rankOfB} in B`, "Save the adapter again");
  }
  const extra = [...parts.keys()].find((part) => part !== "lora_B.bias" && !(names as readonly Part[]).includes(part));
  if (extra !== undefined) {
    throw new FormatError("unexpected-tensor", `${module}.${extra}`, "is beside an embedding's", "Save it again");
  }
  const scaling = scalingOf({ alpha, rank, rsLora });
  const bias = parts.get("lora_B.bias");
  return {
    module,
    kind: isEmbedding ? "embedding" : "linear",
    rank,
    inFeatures,
    outFeatures,
    alpha,
    rsLora,
    loraA: toFloats(a, `${module}.${names[0]}`),
    loraB: transpose(toFloats(b, `${module}.${names[1]}`), outFeatures, rank),
    // PEFT adds it before it scales.
    ...(bias !== undefined && { bias: toFloats(bias, `${module}.lora_B.bias`).map((value) => value * scaling) }),
    dtype: isFloatDType(a.dtype) ? a.dtype : "F32",
    weightLayout: fanInFanOut && !isEmbedding ? "in-out" : "out-in",
  };
}

/** Every pattern is tried on every module; models have far less of both, and a hostile file could ask for hours. */
const MAX_MATCHES = 2_000_000;

const LINEAR = ["lora_A.weight", "lora_B.weight"] as const;

function matrix(tensor: Tensor | undefined, where: string): Tensor {
  if (tensor === undefined) throw new FormatError("missing-tensor", where, "is not in the file", "Save it again");
  if (tensor.shape.length === 2) return tensor;
  const shape = shown(tensor.shape.slice(0, 8).join(" x "));
  if (tensor.shape.length > 2) {
    throw new FormatError(
      "unsupported-variant",
      where,
      `has the shape ${shape}: a convolution`,
      "Adapt linear layers and embeddings only",
    );
  }
  throw new FormatError(
    "bad-shape",
    where,
    `has the shape ${shape}, not of a matrix`,
    "Gather the shards and save again",
  );
}
