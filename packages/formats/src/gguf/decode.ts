import { FormatError, shown } from "../base/errors.js";
import type { DecodeOptions } from "../format.js";
import { toFloats } from "../picture/floats.js";
import { checkLoraFile, type LoraFile, type LoraTarget, PLAIN_FILE } from "../picture/lora-file.js";
import { transpose } from "../picture/transpose.js";
import { ARCHITECTURES, type Order } from "./architectures.js";
import { type BaseModel, baseModelOfAdapter, checkBaseModel } from "./base-model.js";
import { type GgufTensor, type Metadata, readGguf, readGgufMetadata } from "./container.js";
import { joinThirds } from "./join-thirds.js";
import { architectureOf, type Place, placeAsNamed, placeOfTensor } from "./names.js";
import { orderOf } from "./orders.js";
import { fromQ8 } from "./q8.js";

const REMEDY = "Get the file again from where it was made";

/** Prefix of the keys of GGUF's notes. */
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
  const base = options.base === undefined ? baseModelOfAdapter(metadata, name) : checkBaseModel(options.base);
  if (base !== null && base.architecture !== name) {
    const problem = `is for ${shown(name)}, the base model is ${shown(base.architecture)}`;
    throw new FormatError("bad-config", "general.architecture", problem, "Pass the base model that it is for");
  }
  const alpha = alphaOf(metadata) ?? options.alpha;
  const weightLayout = architecture?.weightLayout ?? "out-in";
  const pieces = pairsOf(readGguf(bytes).tensors).flatMap(([tensor, a, b]) => {
    const place = architecture === undefined ? placeAsNamed(tensor) : placeOfTensor(tensor, architecture);
    const orderFor = (order: Order | undefined, length: number) =>
      order === undefined || options.asStored ? undefined : orderOf(order, length, baseFor(place, base), shown(tensor));
    return targetsOf(place, a, b, orderFor).map((target) => ({ place, target: { ...target, weightLayout } }));
  });
  const targets = joinThirds(pieces, alpha !== undefined);
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

function baseFor({ tensor }: Place, base: BaseModel | null): BaseModel {
  if (base !== null) return base;
  throw new FormatError(
    "needs-base",
    shown(tensor),
    "has its rows in llama.cpp's order, which the number of heads decides",
    "Pass the base model's config.json or GGUF as well",
  );
}

type Target = Omit<LoraTarget, "alpha" | "weightLayout">;
type OrderFor = (order: Order | undefined, length: number) => Uint32Array | undefined;

/**
 * ggml has the inner dimension first: A is ne [in, rank], of an embedding [rank, in]; B is ne [rank, out]. Of experts, one
 * after the other; those without any effect are left out.
 */
function targetsOf(place: Place, a: GgufTensor, b: GgufTensor, orderFor: OrderFor): readonly Target[] {
  const isEmbedding = place.kind === "embedding";
  const [inner, outer, count] = sizesOf(a);
  const [rank, outFeatures, countOfB] = sizesOf(b);
  const [inFeatures, rankOfA] = isEmbedding ? [outer, inner] : [inner, outer];
  if (rankOfA !== rank || count !== countOfB) {
    const problem = `has A [${a.shape.join(", ")}] and B [${b.shape.join(", ")}]`;
    throw new FormatError("bad-shape", shown(place.tensor), problem, REMEDY);
  }
  if ((count > 1 && place.expert === undefined) || count > MAX_EXPERTS) {
    throw new FormatError("bad-shape", shown(place.tensor), `has ${count} layers of factors`, REMEDY);
  }
  const [rows, columns] = [orderFor(place.rows, outFeatures), orderFor(place.columns, inFeatures)];
  const [floatsOfA, rowsOfB] = [floatsOf(a), floatsOf(b)];
  const dtype = a.type === "Q8_0" || b.type === "Q8_0" ? "F16" : a.type === b.type ? a.type : "F32";
  const targets = Array.from({ length: count }, (_, expert): Target => {
    const own = floatsOfA.subarray(expert * rank * inFeatures, (expert + 1) * rank * inFeatures);
    const ownB = rowsOfB.subarray(expert * rank * outFeatures, (expert + 1) * rank * outFeatures);
    const loraA = isEmbedding ? transpose(own, inFeatures, rank) : inOrder(own, rank, inFeatures, columns);
    return {
      module: place.expert === "all" ? place.module.replace("*", String(expert)) : place.module,
      kind: place.kind,
      ...{ rank, inFeatures, outFeatures, rsLora: false, dtype },
      loraA,
      loraB: inOrder(transpose(ownB, outFeatures, rank), rank, outFeatures, rows),
    };
  });
  return place.expert === "all"
    ? targets.filter(({ loraA, loraB }) => [loraA, loraB].some((f) => f.some(Boolean)))
    : targets;
}

const MAX_EXPERTS = 4096;

/** Values [rank, length] back in the model's own order. */
function inOrder(values: Float32Array, rank: number, length: number, order: Uint32Array | undefined): Float32Array {
  if (order === undefined) return values.slice();
  const own = new Float32Array(values.length);
  for (let k = 0; k < rank; k++) for (let i = 0; i < length; i++) own[k * length + order[i]!] = values[k * length + i]!;
  return own;
}

/** Two dimensions, and the number of experts. */
function sizesOf({ name, shape }: GgufTensor): readonly [number, number, number] {
  const [inner = 1, outer = 1, count = 1, ...rest] = shape;
  if (rest.every((size) => size === 1)) return [inner, outer, count];
  throw new FormatError("bad-shape", shown(name), `has the shape [${shape.join(", ")}]`, REMEDY);
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

/** The `general.*` metadata that is text; it is written back to GGUF. */
function notesOf(metadata: Metadata): ReadonlyMap<string, string> {
  const notes = new Map<string, string>();
  for (const [key, { value }] of metadata) {
    const isOurs = /^general\.(?:type|architecture|base_model\..*)$/.test(key);
    if (key.startsWith("general.") && !isOurs && typeof value === "string") notes.set(NOTE + key, value);
  }
  return notes;
}
