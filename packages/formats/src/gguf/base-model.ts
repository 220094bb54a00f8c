import { FormatError, shown } from "../base/errors.js";
import { ARCHITECTURES } from "./architectures.js";
import { type GgufHeader, type Metadata, readGgufHeader } from "./container.js";
import { textConfigOf, tiesHead } from "./model-defaults.js";

/** Facts about a base model that an adapter for llama.cpp needs. */
export interface BaseModel {
  /** `general.architecture` in llama.cpp, such as `llama`. */
  readonly architecture: string;
  /** Null where it is not known; only some architectures need it. */
  readonly attentionHeads: number | null;
  /** Equals `attentionHeads` unless queries are grouped; null if unknown. */
  readonly keyValueHeads: number | null;
  /** Whether the head is the embedding; adapters of either need to know. */
  readonly tiedHead?: boolean | undefined;
  /** Number of experts of a block; adapters of experts need it. */
  readonly experts?: number | undefined;
  /** Heads of linear attention, of keys and of values, and how wide each is; adapters of Qwen3.5 need them. */
  readonly linearHeads?: LinearHeads | undefined;
}

/** Heads of linear attention. */
export interface LinearHeads {
  /** Number of key heads. */
  readonly keys: number;
  /** Number of value heads. */
  readonly values: number;
  /** Width of a key head. */
  readonly keyWidth: number;
  /** Width of a value head. */
  readonly valueWidth: number;
}

const GGUF_REMEDY = "Pass the GGUF file of a model";

/**
 * Reads the facts of a base model from its GGUF file. The beginning of the file is enough.
 * @throws FormatError `truncated` if more of the file is needed, `bad-config`, and as `readGguf`
 */
export function baseModelFromGguf(start: Uint8Array): BaseModel {
  return baseModelFromHeader(readGgufHeader(start));
}

/** The same from a header that was read already. @throws FormatError `bad-config` */
export function baseModelFromHeader({ metadata, infos }: GgufHeader): BaseModel {
  const { value } = metadata.get("general.architecture") ?? { value: null };
  if (typeof value !== "string") refuse("general.architecture", value, GGUF_REMEDY);
  // A vocabulary alone, or an adapter, says nothing of the head.
  const isModel = infos.length > 0 && metadata.get("general.type")?.value !== "adapter";
  const tiedHead = !isModel ? undefined : !infos.some(({ name }) => name === "output.weight");
  return { ...factsOf(metadata, value), tiedHead };
}

/** The base model as an adapter's own metadata describe it, if they give the numbers of heads. */
export function baseModelOfAdapter(metadata: Metadata, architecture: string): BaseModel | null {
  return metadata.has(`${architecture}.attention.head_count`) ? factsOf(metadata, architecture) : null;
}

function factsOf(metadata: Metadata, architecture: string): BaseModel {
  const count = (key: string) => {
    const value = metadata.get(`${architecture}.${key}`)?.value ?? null;
    return typeof value === "number" ? value : null;
  };
  const attentionHeads = count("attention.head_count");
  const [keys, values, inner, keyWidth] = ["group_count", "time_step_rank", "inner_size", "state_size"].map((key) =>
    count(`ssm.${key}`),
  );
  return checkBaseModel({
    architecture,
    attentionHeads,
    keyValueHeads: count("attention.head_count_kv") ?? attentionHeads,
    experts: count("expert_count") ?? undefined,
    linearHeads:
      keys && values && inner && keyWidth ? { keys, values, keyWidth, valueWidth: inner / values } : undefined,
  });
}

/**
 * The facts of a base model from its config.json, parsed; of a model of several kinds of input, from its text part.
 * @throws FormatError `bad-config`, `unsupported-variant` for a class of models that is not known here
 */
export function baseModelFromConfig(config: unknown): BaseModel {
  const own = fieldsOf(config);
  const [name] = Array.isArray(own.architectures) ? own.architectures : [];
  const text = textConfigOf(own);
  const field = (...names: readonly string[]) => {
    for (const fields of [text, own]) for (const key of names) if (fields[key] != null) return fields[key];
    return undefined;
  };
  for (const [architecture, { classes, defaultHeads }] of ARCHITECTURES) {
    if (!classes.includes(name)) continue;
    const [heads, keyValues] = CLASS_HEADS.get(name) ?? defaultHeads ?? [];
    const said = field("num_attention_heads", "n_head", "num_heads");
    const attentionHeads = said ?? heads ?? null;
    const keyValueHeads = field("num_key_value_heads", "num_kv_heads", "n_head_kv");
    return checkBaseModel({
      architecture,
      attentionHeads,
      // A class's default of grouped queries holds for its default of heads.
      keyValueHeads: keyValueHeads ?? keyValues ?? attentionHeads,
      tiedHead: tiesHead(own),
      experts: field("num_local_experts", "num_experts", "n_routed_experts"),
      linearHeads: linearHeadsOf(field),
    });
  }
  throw new FormatError(
    "unsupported-variant",
    "architectures",
    name === undefined
      ? "is missing, so the model's class is not known"
      : `says ${shown(name)}, for which no names of llama.cpp are known here`,
    "Convert the adapter with llama.cpp's convert_lora_to_gguf.py",
  );
}

/** Defaults of classes that share an architecture with others. */
const CLASS_HEADS: ReadonlyMap<unknown, readonly [number, number]> = new Map([
  ["MistralForCausalLM", [32, 8]],
  ["MixtralForCausalLM", [32, 8]],
]);

function linearHeadsOf(field: (name: string) => unknown): LinearHeads | undefined {
  const [keys, values, keyWidth, valueWidth] = [
    "linear_num_key_heads",
    "linear_num_value_heads",
    "linear_key_head_dim",
    "linear_value_head_dim",
  ].map(field);
  return isCount(keys) && isCount(values) && isCount(keyWidth) && isCount(valueWidth)
    ? { keys, values, keyWidth, valueWidth }
    : undefined;
}

/** @throws FormatError `bad-config` */
export function checkBaseModel(base: { readonly [K in keyof BaseModel]: unknown }): BaseModel {
  const { architecture, tiedHead, linearHeads } = base;
  if (typeof architecture !== "string") return refuse("architecture", architecture, "Name it as llama.cpp does");
  for (const field of ["attentionHeads", "keyValueHeads", "experts"] as const) {
    const value = base[field];
    if (value === null || value === undefined || isCount(value)) continue;
    return refuse(field, value, "Give the base model's number of them, or null");
  }
  if (tiedHead !== undefined && typeof tiedHead !== "boolean")
    return refuse("tiedHead", tiedHead, "Give true or false");
  return {
    architecture,
    attentionHeads: (base.attentionHeads ?? null) as number | null,
    keyValueHeads: (base.keyValueHeads ?? null) as number | null,
    tiedHead,
    experts: (base.experts ?? undefined) as number | undefined,
    linearHeads: linearHeads as LinearHeads | undefined,
  };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null) return { ...value };
  return refuse("config", value, "Pass the parsed config.json of the base model");
}

function refuse(where: string, value: unknown, remedy: string): never {
  throw new FormatError("bad-config", where, value == null ? "is missing" : `is ${shown(value)}`, remedy);
}
