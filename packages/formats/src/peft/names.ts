import { FormatError, shown } from "../base/errors.js";

/** What PEFT puts before the path of every module. */
export const PREFIX = "base_model.model.";

/** The meaning of a tensor of a PEFT file. */
export type Part =
  | "lora_A.weight"
  | "lora_B.weight"
  | "lora_B.bias"
  | "lora_embedding_A"
  | "lora_embedding_B"
  | "lora_magnitude_vector"
  | "base_layer.weight"
  | "base_layer.bias"
  | "base";

/** A tensor's part, and the path of its module; of a tensor of the base, its own path. */
export interface Name {
  readonly part: Part;
  readonly path: string;
  /** The adapter that PEFT calls it by, which a saved state dict still has in its keys: `lora_A.default.weight`. */
  readonly adapter: string | null;
}

/** The parts, each by the end of a key; the group is the adapter's name. */
const PARTS: readonly (readonly [Part, RegExp])[] = [
  ["lora_A.weight", /\.lora_A(?:\.([^.]+))?\.weight$/],
  ["lora_B.weight", /\.lora_B(?:\.([^.]+))?\.weight$/],
  ["lora_B.bias", /\.lora_B(?:\.([^.]+))?\.bias$/],
  ["lora_embedding_A", /\.lora_embedding_A(?:\.(?!weight$)([^.]+))?(?:\.weight)?$/],
  ["lora_embedding_B", /\.lora_embedding_B(?:\.(?!weight$)([^.]+))?(?:\.weight)?$/],
  ["lora_magnitude_vector", /\.lora_magnitude_vector(?:\.(?!weight$)([^.]+))?(?:\.weight)?$/],
  // Parameters of their own, without `.weight`, as loralib has them.
  ["lora_A.weight", /\.lora_A$/],
  ["lora_B.weight", /\.lora_B$/],
  ["base_layer.weight", /\.base_layer\.weight$/],
  ["base_layer.bias", /\.base_layer\.bias$/],
];

/** Tensors that only variants have, by the name that the variant goes by. */
const VARIANTS: readonly (readonly [RegExp, string])[] = [
  [/\.lora_diag/, "KaSA"],
  [/\.trainable_tokens_/, "trainable tokens"],
  [/\.(?:hada|lokr|oft|ia3)_/, "another method than LoRA"],
  [/\.lora_/, "a variant of LoRA that is not known here"],
];

/**
 * Wrappers that training puts around modules, whose names stay in keys: torch.compile, FSDP, activation checkpointing; and
 * DistributedDataParallel around all.
 */
const WRAPPERS = /(^|\.)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)(?=\.)/g;
const AROUND_ALL = /^(?:module\.)+/;
/** Once for each PEFT model around the model. */
const PREFIXES = /^(?:base_model\.model\.)+/;

/** The keys of a file without what wraps the model, and whether they have PEFT's prefix. @throws FormatError `bad-name` */
export function withoutWrappers(keys: Iterable<string>): ReadonlyMap<string, string> {
  const bare = new Map<string, string>();
  for (const key of keys) bare.set(key, key.replace(WRAPPERS, "").replace(/^\./, "").replace(AROUND_ALL, ""));
  const hasPrefix = [...bare.values()].some((name) => name.startsWith(PREFIX));
  for (const [key, name] of bare) {
    if (hasPrefix && !name.startsWith(PREFIX)) {
      throw new FormatError("bad-name", shown(key), `does not begin with ${PREFIX}`, "Save the adapter with PEFT");
    }
    bare.set(key, name.replace(PREFIXES, ""));
  }
  return bare;
}

/**
 * What a key without wrappers names.
 * @throws FormatError `unsupported-variant`
 */
export function parseName(name: string): Name {
  for (const [part, pattern] of PARTS) {
    const match = pattern.exec(name);
    if (match !== null) return { part, path: name.slice(0, match.index), adapter: match[1] ?? null };
  }
  const variant = VARIANTS.find(([pattern]) => pattern.test(name));
  if (variant === undefined) return { part: "base", path: name, adapter: null };
  throw new FormatError(
    "unsupported-variant",
    shown(name),
    `belongs to ${variant[1]}`,
    "Convert it to plain LoRA in PEFT, or merge it there",
  );
}

/**
 * The name of the adapter to read, of those that a file's keys have.
 * @param wanted the adapter that was asked for
 * @throws FormatError `several-adapters`
 */
export function chooseAdapter(found: ReadonlySet<string | null>, wanted: string | undefined): string | null {
  const names = [...found].map((name) => name ?? "(without a name)").join(", ");
  const [first = null] = found;
  if (wanted !== undefined) {
    if (found.has(wanted)) return wanted;
    // Saving drops the name, so a file without one is whatever adapter was asked for.
    if (found.size === 1 && first === null) return null;
    throw new FormatError("several-adapters", shown(wanted), `is none of the adapters in the file: ${names}`, REMEDY);
  }
  if (found.size <= 1) return first;
  throw new FormatError("several-adapters", "file", `holds ${found.size} adapters: ${names}`, REMEDY);
}

const REMEDY = "Name one of them (`adapter`, --adapter of the command)";
