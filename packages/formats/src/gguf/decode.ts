import { FormatError, shown } from "../base/errors.js";
import type { DecodeOptions } from "../format.js";
import { toFloats } from "../picture/floats.js";
import { checkLoraFile, type LoraFile, type LoraTarget, PLAIN_FILE } from "../picture/lora-file.js";
import { transpose } from "../picture/transpose.js";
import { ARCHITECTURES } from "./architectures.js";
import { type BaseModel, checkBaseModel, headsOf } from "./base-model.js";
import { type GgufTensor, type Metadata, readGguf, readGgufMetadata } from "./container.js";
import { architectureOf, type Place, placeAsNamed, placeOfTensor } from "./names.js";
import { rotaryOrder } from "./permute.js";
import { fromQ8 } from "./q8.js";

const REMEDY = "Get the file again from where it was made";

/** What the keys of GGUF's notes begin with. */
export const NOTE = "gguf.";

/**
 * An adapter of llama.cpp, read as `llama_adapter_lora_init_impl` in its llama-adapter.cpp does; heeds `base`, `alpha`, `asStored`.
 * @throws FormatError
 */
export function decodeGgufLora(bytes: Uint8Array, options: DecodeOptions = {}): LoraFile {
  const metadata = readGgufMetadata(bytes);
  checkAdapter(metadata);
  const name = textOf(metadata, "general.architecture");
  const architecture = options.asStored ? ARCHITECTURES.get(name) : architectureOf(name);
  const base = options.base === undefined ? headsOf(metadata, name) : checkBaseModel(options.base);
  if (base !== null && base.architecture !== name) {
    const problem = `is for ${shown(name)}, the base model is ${shown(base.architecture)}`;
    throw new FormatError("bad-config", "general.architecture", problem, "Pass the base model that it is for");
  }
  const alpha = alphaOf(metadata) ?? options.alpha;
  const targets = pairsOf(readGguf(bytes).tensors).map(([tensor, a, b]) => {
    const place = architecture === undefined ? placeAsNamed(tensor) : placeOfTensor(tensor, architecture);
    const order = place.heads === null || options.asStored ? undefined : orderOf(place, b, base);
    return { ...targetOf(place, a, b, order), weightLayout: architecture?.weightLayout ?? "out-in" };
  });
  return checkLoraFile({
    ...PLAIN_FILE,
    targets: targets.map((target) => ({ ...target, alpha: alpha ?? target.rank })),
    baseModel: baseModelOf(metadata),
    notes: notesOf(metadata),
  });
}

function checkAdapter(metadata: Metadata): void {
  const kind = textOf(metadata, "general.type");
  if (kind !== "adapter") {
    throw new FormatError("not-this-format", "general.type", `is ${shown(kind)}`, "Pass an adapter, not a model");
  }
  const type = textOf(metadata, "adapter.type");
  if (type !== "lora") {
    throw new FormatError("unsupported-variant", "adapter.type", `is ${shown(type)}`, "Pass a LoRA adapter");
  }
  if (metadata.has("adapter.alora.invocation_tokens")) {
    const problem = "makes it an activated LoRA, which acts on some tokens only";
    throw new FormatError("unsupported-variant", "adapter.alora.invocation_tokens", problem, "Pass a LoRA adapter");
  }
}

/** llama.cpp takes a missing alpha, or zero, as no scaling at all: `get_scale` in llama-adapter.h. */
function alphaOf(metadata: Metadata): number | undefined {
  const { type, value } = metadata.get("adapter.lora.alpha") ?? { type: "FLOAT32", value: 0 };
  if (type !== "FLOAT32" || typeof value !== "number") {
    throw new FormatError("bad-value", "adapter.lora.alpha", `is of type ${type}`, "Write it as FLOAT32");
  }
  return value === 0 ? undefined : value;
}

/** A and B of each tensor of the base model; whole norms beside them are passed over, as llama.cpp does. */
function pairsOf(tensors: readonly GgufTensor[]): [string, GgufTensor, GgufTensor][] {
  const as = new Map<string, GgufTensor>();
  const bs = new Map<string, GgufTensor>();
  for (const tensor of tensors) {
    const [, name = "", part] = /^(.*)\.lora_([ab])$/s.exec(tensor.name) ?? [];
    if (part !== undefined) (part === "a" ? as : bs).set(name, tensor);
    else if (!tensor.name.endsWith("_norm.weight")) {
      const remedy = "Convert the adapter again, without it";
      throw new FormatError("unexpected-tensor", shown(tensor.name), "is no lora_a or lora_b", remedy);
    }
  }
  for (const name of [...as.keys(), ...bs.keys()]) {
    if (as.has(name) && bs.has(name)) continue;
    throw new FormatError("missing-tensor", shown(name), `lacks its lora_${as.has(name) ? "b" : "a"}`, REMEDY);
  }
  if (as.size === 0) throw new FormatError("missing-tensor", "file", "holds no lora_a and lora_b", REMEDY);
  return [...as].map(([name, a]) => [name, a, bs.get(name)!]);
}

function orderOf({ tensor, heads }: Place, b: GgufTensor, base: BaseModel | null): Uint32Array {
  if (base !== null && heads !== null) return rotaryOrder(b.shape[1] ?? 1, base[heads], shown(tensor));
  throw new FormatError(
    "needs-base",
    shown(tensor),
    "has its rows in llama.cpp's order, which the number of heads decides",
    "Pass the base model's config.json or GGUF as well",
  );
}

/** ggml has the inner dimension first: A is ne [in, rank], of an embedding [rank, in]; B is ne [rank, out]. */
function targetOf(
  place: Place,
  a: GgufTensor,
  b: GgufTensor,
  order?: Uint32Array,
): Omit<LoraTarget, "alpha" | "weightLayout"> {
  const isEmbedding = place.kind === "embedding";
  const [inner, outer] = matrixOf(a);
  const [rank, outFeatures] = matrixOf(b);
  const [inFeatures, rankOfA] = isEmbedding ? [outer, inner] : [inner, outer];
  if (rankOfA !== rank) {
    const problem = `has rank ${rankOfA} in A and ${rank} in B`;
    throw new FormatError("bad-shape", shown(place.tensor), problem, REMEDY);
  }
  const floatsOfA = floatsOf(a);
  const rowsOfB = floatsOf(b);
  return {
    module: place.module,
    kind: place.kind,
    rank,
    inFeatures,
    outFeatures,
    rsLora: false,
    loraA: isEmbedding ? transpose(floatsOfA, inFeatures, rank) : floatsOfA,
    loraB: columnsOf(rowsOfB, rank, outFeatures, order),
    dtype: a.type === "Q8_0" ? "F16" : a.type,
  };
}

/** B [out, rank] as [rank, out], its rows back in the model's own order. */
function columnsOf(rows: Float32Array, rank: number, outFeatures: number, order?: Uint32Array): Float32Array {
  if (order === undefined) return transpose(rows, outFeatures, rank);
  const columns = new Float32Array(rows.length);
  for (let row = 0; row < outFeatures; row++) {
    for (let k = 0; k < rank; k++) columns[k * outFeatures + order[row]!] = rows[row * rank + k]!;
  }
  return columns;
}

function matrixOf({ name, shape }: GgufTensor): [number, number] {
  const [inner = 1, outer = 1, ...rest] = shape;
  if (rest.every((size) => size === 1)) return [inner, outer];
  throw new FormatError(
    "bad-shape",
    shown(name),
    `has the shape [${shape.join(", ")}]`,
    "Adapters of experts are not read",
  );
}

function floatsOf({ name, type, shape, data }: GgufTensor): Float32Array {
  return type === "Q8_0" ? fromQ8(data) : toFloats({ dtype: type, shape, data }, shown(name));
}

function textOf(metadata: Metadata, key: string): string {
  const { value } = metadata.get(key) ?? { value: null };
  if (typeof value === "string") return value;
  throw new FormatError("bad-config", key, value === null ? "is missing" : `is ${shown(value)}`, "Pass an adapter");
}

function baseModelOf(metadata: Metadata): string | null {
  const { value: url } = metadata.get("general.base_model.0.repo_url") ?? {};
  const [, repository] = /^https:\/\/huggingface\.co\/([^/]+\/[^/]+)$/.exec(String(url)) ?? [];
  const { value: name } = metadata.get("general.base_model.0.name") ?? {};
  return repository ?? (typeof name === "string" ? name : null);
}

/** What is said in general, as text; it is written back to GGUF. */
function notesOf(metadata: Metadata): ReadonlyMap<string, string> {
  const notes = new Map<string, string>();
  for (const [key, { value }] of metadata) {
    const isOurs = /^general\.(?:type|architecture|base_model\..*)$/.test(key);
    if (key.startsWith("general.") && !isOurs && typeof value === "string") notes.set(NOTE + key, value);
  }
  return notes;
}
