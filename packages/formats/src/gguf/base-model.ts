import { FormatError, shown } from "../base/errors.js";
import { ARCHITECTURES } from "./architectures.js";
import { type Metadata, readGgufMetadata } from "./container.js";

/** What an adapter for llama.cpp has to say, or to know, of its base model. */
export interface BaseModel {
  /** `general.architecture` in llama.cpp, such as `llama`. */
  readonly architecture: string;
  readonly attentionHeads: number;
  /** As many as `attentionHeads` but for grouped queries. */
  readonly keyValueHeads: number;
}

/**
 * The facts of a base model from its GGUF file, of which the beginning is enough.
 * @throws FormatError `truncated` if more of the file is needed, `bad-config`, and as `readGgufMetadata`
 */
export function baseModelFromGguf(start: Uint8Array): BaseModel {
  const metadata = readGgufMetadata(start);
  const { value } = metadata.get("general.architecture") ?? { value: null };
  if (typeof value !== "string") refuse("general.architecture", value, "Pass the GGUF file of a model");
  return headsOf(metadata, value) ?? refuse(`${value}.attention.head_count`, null, "Pass the GGUF file of a model");
}

/** The numbers of heads that metadata say, if they do. */
export function headsOf(metadata: Metadata, architecture: string): BaseModel | null {
  const count = (key: string) => metadata.get(`${architecture}.attention.${key}`)?.value ?? null;
  const attentionHeads = count("head_count");
  if (attentionHeads === null) return null;
  const keyValueHeads = count("head_count_kv") ?? attentionHeads;
  return checkBaseModel({ architecture, attentionHeads, keyValueHeads });
}

/**
 * The facts of a base model from its config.json, parsed.
 * @throws FormatError `bad-config`, `unsupported-variant` for a class of models that is not known here
 */
export function baseModelFromConfig(config: unknown): BaseModel {
  const { architectures, text_config, ...own } = fieldsOf(config);
  const [name] = Array.isArray(architectures) ? architectures : [];
  const text = text_config === undefined ? own : fieldsOf(text_config);
  for (const [architecture, { classes }] of ARCHITECTURES) {
    if (!classes.includes(name)) continue;
    const attentionHeads = text.num_attention_heads ?? own.n_head;
    return checkBaseModel({
      architecture,
      attentionHeads,
      keyValueHeads: text.num_key_value_heads ?? attentionHeads,
    });
  }
  throw new FormatError(
    "unsupported-variant",
    "architectures",
    `says ${shown(name)}, for which no names of llama.cpp are known here`,
    "Convert the adapter with llama.cpp's convert_lora_to_gguf.py",
  );
}

/** @throws FormatError `bad-config` */
export function checkBaseModel(base: { readonly [K in keyof BaseModel]: unknown }): BaseModel {
  const { architecture, attentionHeads, keyValueHeads } = base;
  if (typeof architecture !== "string") return refuse("architecture", architecture, "Name it as llama.cpp does");
  if (!isCount(attentionHeads))
    return refuse("attentionHeads", attentionHeads, "Give the base model's number of heads");
  if (!isCount(keyValueHeads)) return refuse("keyValueHeads", keyValueHeads, "Give the base model's number of heads");
  return { architecture, attentionHeads, keyValueHeads };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null) return { ...value };
  return refuse("config", value, "Pass the parsed config.json of the base model");
}

function refuse(where: string, value: unknown, remedy: string): never {
  throw new FormatError("bad-config", where, value === null ? "is missing" : `is ${shown(value)}`, remedy);
}
