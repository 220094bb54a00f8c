import { FormatError, shown } from "../../base/errors.js";
import { checkLoraFile, type LoraFile, scalingOf } from "../../picture/lora-file.js";
import { refuseReplaced } from "../../picture/replaced.js";
import type { Architecture } from "../architectures.js";
import { type BaseModel, checkBaseModel } from "../base-model.js";
import type { GgufHeader, TensorHeader } from "../container.js";
import { type Factors, factorsOf } from "../factors.js";
import { architectureOf } from "../names.js";
import { orderOf } from "../orders.js";
import { BLOCK_TYPES, type BlockType, F16 } from "./blocks.js";

/** What merging does to one tensor of a GGUF model, row by row. */
export interface GgufChange {
  readonly from: BlockType;
  readonly to: BlockType;
  /** Elements of a row, and rows of the tensor, those of all experts one after the other. */
  readonly cols: number;
  readonly rows: number;
  /** Adds what the adapter adds to the row of this number. */
  add(values: Float64Array, row: number): void;
}

/** What merging does to a GGUF model. */
export interface GgufMergePlan {
  readonly changes: ReadonlyMap<string, GgufChange>;
  /** Tensors that the model did not have, each by the tensor that it begins from, and what is done to it. */
  readonly added: ReadonlyMap<string, { readonly like: string; readonly change: GgufChange | undefined }>;
  readonly warnings: readonly string[];
}

const HEAD = "output.weight";
const EMBEDDING = "token_embd.weight";

/**
 * What merging an adapter does to a model, checked against all of its tensors before the first is touched.
 * @param sign -1 to subtract what merging added
 * @throws FormatError `missing-tensor`, `bad-shape`, `unsupported-dtype`, `unsupported-variant`, `tied-head`, `needs-base`
 */
export function planGgufMerge(header: GgufHeader, file: LoraFile, given: BaseModel, sign: 1 | -1): GgufMergePlan {
  checkLoraFile(file);
  refuseReplaced(file, "merging into GGUF");
  const base = checkBaseModel(given);
  const architecture = architectureOf(base.architecture);
  const tensors = new Map(header.infos.map((info) => [info.name, info]));
  const all = file.targets.flatMap((target) => factorsOf(target, architecture, base));
  const head = all.find(({ place }) => place.isHead);
  const embedding = all.find(({ place }) => place.kind === "embedding");
  const untied = untie(tensors, architecture, { head, embedding, sign });
  const groups = new Map<string, Factors[]>();
  for (const factors of all) {
    const { tensor } = factors.place;
    if (untied.has(tensor)) continue;
    groups.set(tensor, [...(groups.get(tensor) ?? []), factors]);
  }
  const changes = new Map<string, GgufChange>();
  for (const [name, factors] of groups) changes.set(name, changeOf(infoOf(tensors, name, factors[0]!), factors, sign));
  for (const factors of all) addBias(changes, tensors, factors, base, sign);
  return {
    changes,
    added: untied,
    warnings: [...untied.keys()].map((name) => `${name} is a tensor of its own now: ${WHY}`),
  };
}

const WHY = "the head was tied to the embedding, of which the adapter changes one";

interface Heads {
  readonly head: Factors | undefined;
  readonly embedding: Factors | undefined;
  readonly sign: 1 | -1;
}

/** The head as a tensor of its own, where the model's is the embedding and the adapter changes only one of the two. */
function untie(
  tensors: ReadonlyMap<string, TensorHeader>,
  { head: kind }: Architecture,
  { head, embedding, sign }: Heads,
) {
  const added = new Map<string, { readonly like: string; readonly change: GgufChange | undefined }>();
  const changed = head ?? embedding;
  if (changed === undefined || tensors.has(HEAD) || kind === "none") return added;
  if (kind === "tied") {
    const problem = "is of a model whose head llama.cpp always ties to the embedding (tie_word_embeddings)";
    const remedy = "Leave it out (--drop of the command), or merge it into the model's safetensors";
    throw new FormatError("tied-head", shown(changed.place.module), problem, remedy);
  }
  // Taken out of a model that is tied still, there is nothing to take the head's out of.
  if (sign === -1 && head === undefined) return added;
  const info = infoOf(tensors, EMBEDDING, changed);
  return added.set(HEAD, { like: EMBEDDING, change: head === undefined ? undefined : changeOf(info, [head], sign) });
}

function infoOf(tensors: ReadonlyMap<string, TensorHeader>, name: string, { place }: Factors): TensorHeader {
  const info = tensors.get(name);
  if (info !== undefined) return info;
  const problem = `is ${name} in llama.cpp, which the model does not have`;
  throw new FormatError("missing-tensor", shown(place.module), problem, "Merge into the model that it was trained on");
}

/** @param all the factors of the tensor; several of a tensor of all experts */
function changeOf({ name, shape, typeId }: TensorHeader, all: readonly Factors[], sign: 1 | -1): GgufChange {
  const from = BLOCK_TYPES.get(typeId);
  if (from === undefined) {
    const problem = `is of the ggml type ${typeId}, which is not computed with`;
    const known = [...BLOCK_TYPES.values()].map((type) => type.name).join(", ");
    throw new FormatError("unsupported-dtype", shown(name), problem, `Merge into a model of ${known}`);
  }
  const [cols = 1, rows = 1, experts = 1, ...rest] = shape;
  const isEmbedding = all[0]!.place.kind === "embedding";
  for (const { place, inFeatures, outFeatures } of all) {
    const wanted = isEmbedding ? [outFeatures, inFeatures] : [inFeatures, outFeatures];
    const isThere = typeof place.expert === "number" ? place.expert < experts : experts === 1;
    if (cols === wanted[0] && rows === wanted[1] && isThere && rest.every((size) => size === 1)) continue;
    const isVocabulary = (isEmbedding || place.isHead) && cols === wanted[0];
    const problem = `is [${shape.join(", ")}] in the model, the adapter is for [${wanted.join(", ")}]`;
    throw new FormatError(
      "bad-shape",
      shown(place.module),
      isVocabulary ? `${problem}: their vocabularies have other numbers of tokens (rows)` : problem,
      isVocabulary
        ? "Merge into a model that was converted with all of its tokens"
        : "Merge into the model that it was trained on",
    );
  }
  const byExpert = new Map(all.map((factors) => [Number(factors.place.expert ?? 0), factors]));
  return {
    from,
    to: from.quantize === undefined ? F16 : from,
    cols,
    rows: rows * experts,
    add(values, row) {
      const factors = byExpert.get(Math.floor(row / rows));
      if (factors !== undefined) addRow(values, factors, row % rows, isEmbedding, sign);
    },
  };
}

function addRow(values: Float64Array, factors: Factors, row: number, isEmbedding: boolean, sign: 1 | -1): void {
  const { target, rank, inFeatures, a, b } = factors;
  const scaling = sign * scalingOf(target);
  for (let k = 0; k < rank; k++) {
    const factor = scaling * (isEmbedding ? a[k * inFeatures + row]! : b[row * rank + k]!);
    if (isEmbedding) for (let o = 0; o < values.length; o++) values[o]! += factor * b[o * rank + k]!;
    else for (let i = 0; i < values.length; i++) values[i]! += factor * a[k * inFeatures + i]!;
  }
}

/** A bias that the adapter adds (lora_bias), in the order of the module's rows. */
function addBias(
  changes: Map<string, GgufChange>,
  tensors: ReadonlyMap<string, TensorHeader>,
  { target, place, outFeatures }: Factors,
  base: BaseModel,
  sign: 1 | -1,
): void {
  const { bias, module } = target;
  if (bias === undefined) return;
  const name = place.tensor.replace(/weight$/, "bias");
  const info = tensors.get(name);
  const from = info === undefined ? undefined : BLOCK_TYPES.get(info.typeId);
  if (info === undefined || from === undefined || info.shape[0] !== outFeatures || place.expert !== undefined) {
    const problem = "has no bias in the model, and the adapter adds one (lora_bias)";
    throw new FormatError(
      "missing-tensor",
      shown(module),
      problem,
      "Run it beside the model: there is nothing to merge it into",
    );
  }
  const order = place.rows === undefined ? undefined : orderOf(place.rows, outFeatures, base, shown(module));
  const first = outFeatures * (place.third ?? 0);
  changes.set(name, {
    from,
    to: from,
    cols: outFeatures,
    rows: 1,
    add(values) {
      for (let row = 0; row < outFeatures; row++) values[row]! += sign * bias[first + (order?.[row] ?? row)]!;
    },
  });
}
