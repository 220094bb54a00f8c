import { FormatError, shown } from "../base/errors.js";
import { decodeUtf8, type JsonObject, jsonObject, parseJsonObject } from "../base/json.js";
import { refuseLookalike } from "../base/lookalikes.js";
import type { EncodeOptions } from "../format.js";
import { CONFIG_FILE, isMlxConfig } from "../peft/config.js";
import { isFloatDType } from "../picture/dtype.js";
import { isEmbeddingName } from "../picture/embedding-name.js";
import { storeFloats, toFloats } from "../picture/floats.js";
import { LAYOUT_NOTE } from "../picture/layout-note.js";
import { checkLoraFile, type LoraFile, type LoraTarget, PLAIN_FILE, scalingOf } from "../picture/lora-file.js";
import { refuseParts } from "../picture/refuse-parts.js";
import { refuseReplaced } from "../picture/replaced.js";
import type { Tensor, TensorFile } from "../picture/tensor-file.js";
import { transpose } from "../picture/transpose.js";
import { toUniform } from "../picture/uniform.js";
import { decodeSafetensors, encodeSafetensors } from "../safetensors/safetensors.js";

/** The two files of a folder of mlx-lm. */
export interface MlxFolder {
  /** `adapter_config.json` */
  readonly config: Uint8Array;
  /** `adapters.safetensors` */
  readonly weights: Uint8Array;
}

export const MLX_WEIGHTS_FILE = "adapters.safetensors";

/** Whose names these are, for people. */
const TITLE = "mlx-lm's names";
const KEY = /^(.+)\.(lora_a|lora_b|m)$/s;
/** The key of the notes under which a config is kept, to be written back. */
const CONFIG_NOTE = "mlx.config";
/** Whether a tensor's key is one of mlx-lm's. */
export function isMlxKey(key: string): boolean {
  return /\.lora_[ab]$/.test(key);
}

/**
 * Reads an adapter of mlx-lm: A [in, rank], B [rank, out], and one scale for all, as its `LoRALinear` has them.
 * @throws FormatError
 */
export function decodeMlx({ config, weights }: MlxFolder): LoraFile {
  refuseLookalike(config, CONFIG_FILE, "json");
  refuseLookalike(weights, MLX_WEIGHTS_FILE, "safetensors");
  const json = parseJsonObject(decodeUtf8(config, CONFIG_FILE), CONFIG_FILE);
  if (!isMlxConfig(json)) {
    const remedy = "Read a PEFT folder with decodePeft";
    throw new FormatError("not-this-format", CONFIG_FILE, "has no lora_parameters, as mlx-lm's has", remedy);
  }
  return fromMlxTensors(decodeSafetensors(weights), json);
}

/** The same from tensors that were read already. */
export function fromMlxTensors({ tensors }: TensorFile, config: JsonObject): LoraFile {
  const kind = config.get("fine_tune_type") ?? "lora";
  if (kind !== "lora" && kind !== "dora") {
    const problem = `is ${shown(kind)}, which is no adapter`;
    const remedy = "Use the weights as a model's own; only lora and dora are adapters";
    throw new FormatError("unsupported-variant", `${CONFIG_FILE}: fine_tune_type`, problem, remedy);
  }
  const parameters = jsonObject(config.get("lora_parameters") ?? {}, `${CONFIG_FILE}: lora_parameters`);
  const scale = numberOf(parameters, "scale");
  const rank = parameters.has("rank") ? numberOf(parameters, "rank", 8) : undefined;
  const model = config.get("model");
  const targets = targetsOf(tensors, (r) => scale * r);
  for (const { module, rank: found, magnitude } of targets) {
    if (rank !== undefined && found !== rank) refuseRank(module, found, rank);
    if ((kind === "dora") !== (magnitude !== undefined)) {
      const problem = kind === "dora" ? "lacks the magnitudes of DoRA (m)" : "has magnitudes (m) and is no DoRA";
      throw new FormatError(
        "missing-tensor",
        module,
        `${problem} by ${CONFIG_FILE}`,
        "Put one adapter's files together",
      );
    }
  }
  return checkLoraFile({
    ...PLAIN_FILE,
    targets,
    baseModel: typeof model === "string" ? model : null,
    dropout: numberOf(parameters, "dropout", 0),
    notes: new Map([
      [LAYOUT_NOTE, TITLE],
      [CONFIG_NOTE, JSON.stringify(Object.fromEntries(config))],
    ]),
    // mlx-lm multiplied the scale by alpha / rank from January to June of 2024, and has ignored alpha since.
    warnings: parameters.has("alpha")
      ? ["lora_parameters has an alpha, which mlx-lm ignores: the scale alone counts"]
      : [],
  });
}

/** The modules of tensors with mlx-lm's names. @param alphaOf alpha by the rank */
export function targetsOf(tensors: ReadonlyMap<string, Tensor>, alphaOf: (rank: number) => number): LoraTarget[] {
  const modules = new Map<string, Map<string, Tensor>>();
  for (const [key, tensor] of tensors) {
    const [, module, part] = KEY.exec(key) ?? [];
    if (module === undefined || part === undefined) {
      const remedy = "Save the adapter alone; mlx-lm's fine_tune_type full is no adapter";
      throw new FormatError("unexpected-tensor", shown(key), "is no lora_a, lora_b or m", remedy);
    }
    modules.set(module, (modules.get(module) ?? new Map<string, Tensor>()).set(part, tensor));
  }
  if (modules.size === 0)
    throw new FormatError("missing-tensor", "file", "holds no lora_a and lora_b", "Save it again");
  return [...modules].map(([module, parts]) => targetOf(module, parts, alphaOf));
}

function targetOf(module: string, parts: ReadonlyMap<string, Tensor>, alphaOf: (rank: number) => number): LoraTarget {
  const [a, b] = [parts.get("lora_a"), parts.get("lora_b")];
  if (a === undefined || b === undefined) {
    const problem = `lacks its lora_${a === undefined ? "a" : "b"}`;
    throw new FormatError("missing-tensor", module, problem, "Save it again");
  }
  if (a.shape.length === 3 && b.shape.length === 3) {
    const problem = "is an adapter of all experts at once (LoRASwitchLinear)";
    throw new FormatError("unsupported-variant", module, problem, "Fuse it into its model with mlx_lm.fuse");
  }
  const [inFeatures = 0, rank = 0] = a.shape;
  const [rankOfB, outFeatures = 0] = b.shape;
  if (a.shape.length !== 2 || b.shape.length !== 2 || rank !== rankOfB) {
    const problem = `has lora_a [${a.shape.join(", ")}] and lora_b [${b.shape.join(", ")}]`;
    throw new FormatError("bad-shape", module, problem, "Give lora_a [in, rank] and lora_b [rank, out]");
  }
  const isEmbedding = isEmbeddingName(module);
  const magnitude = parts.get("m");
  if (isEmbedding && magnitude !== undefined) {
    const problem = "is an embedding with a magnitude for each token (DoRAEmbedding)";
    throw new FormatError("unsupported-variant", module, problem, "Fuse it into its model with mlx_lm.fuse");
  }
  return {
    module,
    kind: isEmbedding ? "embedding" : "linear",
    ...{ rank, inFeatures, outFeatures, alpha: alphaOf(rank), rsLora: false },
    loraA: transpose(toFloats(a, `${module}.lora_a`), inFeatures, rank),
    loraB: toFloats(b, `${module}.lora_b`),
    ...(magnitude !== undefined && { magnitude: toFloats(magnitude, `${module}.m`) }),
    dtype: isFloatDType(a.dtype) && a.dtype === b.dtype ? a.dtype : "F32",
    weightLayout: "out-in",
  };
}

/**
 * The folder that `mlx_lm.generate --adapter-path` reads. mlx-lm has one rank and one scale for all modules, so smaller ranks
 * are filled up with zeros, and other scalings are folded into B, which rounds each number once.
 * @throws FormatError `unsupported-variant` for biases, convolutions, and DoRA of embeddings or of some modules only
 */
export function encodeMlx(file: LoraFile, { dtype }: EncodeOptions = {}): MlxFolder {
  checkLoraFile(file);
  refuseReplaced(file, "mlx-lm");
  refuseParts(file.targets, "an adapter of mlx-lm", ["bias", "convolution"]);
  const isDora = file.targets.some(({ magnitude }) => magnitude !== undefined);
  const odd = file.targets.find(
    ({ kind, magnitude }) => (magnitude !== undefined) !== isDora || (isDora && kind !== "linear"),
  );
  if (odd !== undefined) {
    const problem = "is not DoRA of a linear module, as others are";
    throw new FormatError("unsupported-variant", odd.module, problem, "Write modules of one kind, or merge them");
  }
  const { rank, alpha, rsLora, targets } = toUniform(file.targets);
  const tensors = new Map<string, Tensor>();
  for (const target of targets) {
    const { module, inFeatures, outFeatures, loraA, loraB, magnitude } = target;
    const type = dtype ?? target.dtype;
    const a = transpose(loraA, rank, inFeatures);
    tensors.set(`${module}.lora_a`, storeFloats(a, [inFeatures, rank], type, `${module}.loraA`));
    tensors.set(`${module}.lora_b`, storeFloats(loraB, [rank, outFeatures], type, `${module}.loraB`));
    if (magnitude === undefined) continue;
    tensors.set(`${module}.m`, storeFloats(magnitude, [outFeatures], type, `${module}.magnitude`));
  }
  const config = configOf(file, { rank, scale: scalingOf({ alpha, rank, rsLora }), isDora });
  return {
    config: new TextEncoder().encode(JSON.stringify(config, null, 4)),
    weights: encodeSafetensors({ metadata: new Map([["format", "mlx"]]), tensors }),
  };
}

/** `keys` are paths within a layer, and of modules outside of the layers; mlx-lm adapts them in the last `num_layers`. */
function configOf(file: LoraFile, { rank, scale, isDora }: { rank: number; scale: number; isDora: boolean }): object {
  const note = file.notes.get(CONFIG_NOTE);
  const kept: Record<string, unknown> = note === undefined ? {} : JSON.parse(note);
  const keys = new Set(file.targets.map(({ module }) => module.replace(/^.*?\b(?:layers|blocks|h)\.\d+\./, "")));
  return {
    ...kept,
    fine_tune_type: isDora ? "dora" : "lora",
    model: file.baseModel,
    // Layers are counted from the last one, and how many there are is the base model's: all of them.
    num_layers: kept.num_layers ?? ALL_LAYERS,
    lora_parameters: { rank, scale, dropout: file.dropout, keys: [...keys].sort() },
  };
}

/** More layers than any model has: `layers[-num_layers:]` then takes all. */
const ALL_LAYERS = 1024;

function numberOf(json: JsonObject, field: string, otherwise?: number): number {
  const value = json.get(field) ?? otherwise;
  if (typeof value === "number") return value;
  const where = `${CONFIG_FILE}: lora_parameters.${field}`;
  throw new FormatError("bad-config", where, `is ${shown(value)}, not a number`, "Correct it");
}

function refuseRank(module: string, found: number, said: number): never {
  const problem = `has tensors of rank ${found}, and ${CONFIG_FILE} says ${said}`;
  throw new FormatError("bad-shape", module, problem, "Put the files of one adapter side by side");
}
