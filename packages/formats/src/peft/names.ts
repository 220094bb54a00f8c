import { FormatError, shown } from "../base/errors.js";

/** What PEFT puts before the path of every module. */
export const PREFIX = "base_model.model.";

/** What a tensor of a PEFT file is. */
export type Part =
  | "lora_A.weight"
  | "lora_B.weight"
  | "lora_B.bias"
  | "lora_embedding_A"
  | "lora_embedding_B"
  | "base_layer.weight"
  | "base_layer.bias"
  | "base";

/** A tensor's part, and the path of its module; of a tensor of the base, its own path. */
export interface Name {
  readonly part: Part;
  readonly path: string;
}

const PARTS: readonly Exclude<Part, "base">[] = [
  "lora_A.weight",
  "lora_B.weight",
  "lora_B.bias",
  "lora_embedding_A",
  "lora_embedding_B",
  "base_layer.weight",
  "base_layer.bias",
];

/** Tensors that only variants have, by the name that the variant goes by. */
const VARIANTS: readonly (readonly [RegExp, string])[] = [
  [/\.lora_magnitude_vector/, "DoRA"],
  [/\.lora_diag/, "KaSA"],
  [/\.trainable_tokens_/, "trainable tokens"],
  [/\.lora_/, "a variant of LoRA that is not known here"],
];

/** @throws FormatError `bad-name`, `unsupported-variant` */
export function parseName(key: string): Name {
  if (!key.startsWith(PREFIX)) {
    throw new FormatError("bad-name", shown(key), `does not begin with ${PREFIX}`, "Save the adapter with PEFT");
  }
  const name = key.slice(PREFIX.length);
  const part = PARTS.find((suffix) => name.endsWith(`.${suffix}`));
  if (part !== undefined) return { part, path: name.slice(0, -part.length - 1) };
  const variant = VARIANTS.find(([pattern]) => pattern.test(name));
  if (variant === undefined) return { part: "base", path: name };
  throw new FormatError(
    "unsupported-variant",
    shown(key),
    `belongs to ${variant[1]}`,
    "Convert it to plain LoRA in PEFT, or merge it there",
  );
}
