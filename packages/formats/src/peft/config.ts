import { FormatError, shown } from "../base/errors.js";
import { type JsonObject, jsonObject, parseJsonObject } from "../base/json.js";

/** What a reader needs of an `adapter_config.json` (PEFT's `LoraConfig`). */
export interface PeftConfig {
  readonly alpha: number;
  readonly rsLora: boolean;
  readonly dropout: number;
  readonly fanInFanOut: boolean;
  readonly baseModel: string | null;
  /** Whether biases of the base model were trained. */
  readonly trainsBiases: boolean;
  /** From patterns of module paths to the alpha of the modules that they match, in order. */
  readonly alphaPattern: ReadonlyMap<string, number>;
  /** The file itself. */
  readonly json: JsonObject;
}

/** Fields that make something else of the two factors than their product, by the name that the variant goes by. */
const VARIANTS: Readonly<Record<string, string>> = {
  use_dora: "DoRA",
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
const HARMLESS = new Set(["use_rslora"]);

/** @throws FormatError `bad-header`, `bad-config`, `unsupported-variant` */
export function readConfig(text: string): PeftConfig {
  const json = parseJsonObject(text, CONFIG_FILE);
  refuseVariants(json);
  return {
    alpha: number(json, "lora_alpha", 8),
    rsLora: boolean(json, "use_rslora"),
    dropout: number(json, "lora_dropout", 0),
    fanInFanOut: boolean(json, "fan_in_fan_out"),
    baseModel: baseModel(json),
    trainsBiases: (json.get("bias") ?? "none") !== "none",
    alphaPattern: alphaPattern(json),
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

function alphaPattern(json: JsonObject): ReadonlyMap<string, number> {
  const value = json.get("alpha_pattern") ?? {};
  const patterns = jsonObject(value, `${CONFIG_FILE}: alpha_pattern`);
  return new Map([...patterns.keys()].map((key) => [key, number(patterns, key, 0)]));
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
  if (value !== null && typeof value !== "string") return refuse("base_model_name_or_path", value, "text");
  // Nothing here opens it, but whoever is handed it may.
  if (value?.split(/[\\/]/).includes(".."))
    return refuse("base_model_name_or_path", value, "a name or a path without ..");
  return value;
}

function refuse(field: string, value: unknown, wanted: string): never {
  throw new FormatError("bad-config", `${CONFIG_FILE}: ${field}`, `is ${shown(value)}, not ${wanted}`, "Correct it");
}
