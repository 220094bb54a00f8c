import { FormatError, shown } from "../base/errors.js";
import { type JsonObject, jsonObject, parseJsonObject } from "../base/json.js";

/** The parts of an `adapter_config.json` (PEFT's `LoraConfig`) that a reader needs. */
export interface PeftConfig {
  readonly alpha: number;
  /** The rank that the config says, undefined if it says none; `rank_pattern` says another for some modules. */
  readonly rank: number | undefined;
  readonly rsLora: boolean;
  readonly dropout: number;
  readonly fanInFanOut: boolean;
  readonly baseModel: string | null;
  /** Whether biases of the base model were trained. */
  readonly trainsBiases: boolean;
  /** Whether the modules have magnitudes (DoRA); undefined where the config does not say. */
  readonly isDora: boolean | undefined;
  /** From patterns of module paths to the alpha, or the rank, of the modules that they match, in order. */
  readonly alphaPattern: ReadonlyMap<string, number>;
  readonly rankPattern: ReadonlyMap<string, number>;
  /** Names of the adapted modules, or the ends of their paths; null where the config has a pattern or nothing. */
  readonly targetModules: readonly string[] | null;
  /** The file itself. */
  readonly json: JsonObject;
}

/** Fields that make something else of the two factors than their product, by the name that the variant goes by. */
const VARIANTS: Readonly<Record<string, string>> = {
  use_qalora: "QALoRA",
  use_bdlora: "BD-LoRA",
  alora_invocation_tokens: "aLoRA",
  arrow_config: "Arrow",
  kasa_config: "KaSA",
  monteclora_config: "MonteCLoRA",
  layer_replication: "layer replication",
  trainable_token_indices: "trainable tokens",
  target_parameters: "LoRA of bare parameters",
};

/** Initialisations that change the base weights, so that the factors alone do not tell the change. */
const CHANGES_BASE = /^(pissa|olora|corda|loftq|lora_ga)/i;

/** Fields of the form `use_*` that leave the product as it is. */
const HARMLESS = new Set(["use_rslora", "use_dora"]);

/** @throws FormatError `bad-header`, `bad-config`, `unsupported-variant` */
export function readConfig(text: string): PeftConfig {
  const json = parseJsonObject(text, CONFIG_FILE);
  if (isMlxConfig(json)) {
    const remedy = "Read the folder with decodeMlx, or readAdapter of @microlora/formats/node";
    throw new FormatError("not-this-format", CONFIG_FILE, "is that of an adapter of MLX (mlx-lm), not PEFT's", remedy);
  }
  refuseVariants(json);
  return {
    alpha: number(json, "lora_alpha", 8),
    rank: json.get("r") === undefined ? undefined : number(json, "r", 8),
    rsLora: boolean(json, "use_rslora"),
    dropout: number(json, "lora_dropout", 0),
    fanInFanOut: boolean(json, "fan_in_fan_out"),
    baseModel: baseModel(json),
    trainsBiases: (json.get("bias") ?? "none") !== "none",
    isDora: json.has("use_dora") ? boolean(json, "use_dora") : undefined,
    alphaPattern: numbersByPattern(json, "alpha_pattern"),
    rankPattern: numbersByPattern(json, "rank_pattern"),
    targetModules: targetModules(json),
    json,
  };
}

export const CONFIG_FILE = "adapter_config.json";
export const WEIGHTS_FILE = "adapter_model.safetensors";

function refuseVariants(json: JsonObject): void {
  const type = json.get("peft_type") ?? "LORA";
  if (type !== "LORA") refuseVariant("peft_type", shown(type));
  for (const [field, value] of json) {
    const on = value !== null && value !== false && !(Array.isArray(value) && value.length === 0);
    if (!on) continue;
    if (Object.hasOwn(VARIANTS, field)) refuseVariant(field, VARIANTS[field]!);
    if (field.startsWith("use_") && !HARMLESS.has(field)) refuseVariant(field, shown(field));
  }
  const init = json.get("init_lora_weights");
  if (typeof init === "string" && CHANGES_BASE.test(init)) refuseVariant("init_lora_weights", shown(init));
}

function refuseVariant(field: string, name: string): never {
  throw new FormatError(
    "unsupported-variant",
    `${CONFIG_FILE}: ${field}`,
    `asks for ${name}, which is more than a product of two factors`,
    "Convert it to plain LoRA in PEFT, or merge it there",
  );
}

/** Whether mlx-lm wrote a configuration. Its folders have a file of the same name. */
export function isMlxConfig(json: JsonObject): boolean {
  return !json.has("peft_type") && (json.has("lora_parameters") || json.has("fine_tune_type"));
}

function numbersByPattern(json: JsonObject, field: string): ReadonlyMap<string, number> {
  const patterns = jsonObject(json.get(field) ?? {}, `${CONFIG_FILE}: ${field}`);
  return new Map([...patterns.keys()].map((key) => [key, number(patterns, key, 0)]));
}

/** A text is a pattern of Python's, or `all-linear`; neither is held against the modules. */
function targetModules(json: JsonObject): readonly string[] | null {
  const value = json.get("target_modules");
  return Array.isArray(value) && value.every((name) => typeof name === "string") ? value : null;
}

function number(json: JsonObject, field: string, otherwise: number): number {
  const value = json.get(field) ?? otherwise;
  return typeof value === "number" ? value : refuse(field, value, "a number");
}

function boolean(json: JsonObject, field: string): boolean {
  const value = json.get(field) ?? false;
  return typeof value === "boolean" ? value : refuse(field, value, "true or false");
}

function baseModel(json: JsonObject): string | null {
  const value = json.get("base_model_name_or_path") ?? null;
  return value === null || typeof value === "string" ? value : refuse("base_model_name_or_path", value, "text");
}

function refuse(field: string, value: unknown, wanted: string): never {
  throw new FormatError("bad-config", `${CONFIG_FILE}: ${field}`, `is ${shown(value)}, not ${wanted}`, "Correct it");
}
