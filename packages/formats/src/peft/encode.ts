import { FormatError } from "../base/errors.js";
import type { EncodeOptions } from "../format.js";
import { storeFloats } from "../picture/floats.js";
import { checkLoraFile, type LoraFile, type LoraTarget, scalingOf } from "../picture/lora-file.js";
import { moduleOf } from "../picture/select.js";
import type { Tensor, TensorFile } from "../picture/tensor-file.js";
import { transpose } from "../picture/transpose.js";
import { mostCommon, toUniform, withOneRule } from "../picture/uniform.js";
import { encodeSafetensors } from "../safetensors/safetensors.js";
import { CONFIG_NOTE, type PeftFolder } from "./decode.js";
import { PREFIX } from "./names.js";

/** How a PEFT folder is written. */
export interface PeftOptions extends EncodeOptions {
  /** One rank and one scaling for all modules, for programs that ignore `rank_pattern` and `alpha_pattern`; false by default. */
  readonly uniform?: boolean;
}

/**
 * The two files that `PeftModel.from_pretrained` reads, canonical to the byte.
 * @throws FormatError `bad-value` for a bias beside a scaling of zero, and as `checkLoraFile`
 */
export function encodePeft(file: LoraFile, options: PeftOptions = {}): PeftFolder {
  const { tensors, config } = toTensors(file, options);
  return { config: new TextEncoder().encode(config), weights: encodeSafetensors(tensors) };
}

/** The same before the tensors become bytes. */
export function toTensors(
  file: LoraFile,
  options: PeftOptions = {},
): { readonly tensors: TensorFile; readonly config: string } {
  checkLoraFile(file);
  refuseMixedDora(file.targets);
  const targets = withBiases(withOneRule(options.uniform ? toUniform(file.targets).targets : file.targets));
  const tensors = new Map<string, Tensor>();
  for (const target of targets) {
    for (const [part, tensor] of parts(target, options)) tensors.set(`${PREFIX}${target.module}.${part}`, tensor);
  }
  const modules = new Set(targets.map(({ module }) => module));
  for (const [name, tensor] of file.carried) tensors.set(PREFIX + inBaseLayer(name, modules), tensor);
  for (const [name, tensor] of file.replaced) tensors.set(PREFIX + inBaseLayer(name, modules), tensor);
  const config = JSON.stringify(configOf(file, targets, modules), null, 2);
  return { tensors: { metadata: new Map([["format", "pt"]]), tensors }, config };
}

/** PEFT knows one `lora_bias` for all, and none for embeddings. */
function withBiases(targets: readonly LoraTarget[]): readonly LoraTarget[] {
  const isBiased = targets.some(({ bias }) => bias?.some((value) => value !== 0));
  return targets.map(({ bias, ...target }) => {
    if (!isBiased) return target;
    if (target.kind !== "embedding") return { ...target, bias: bias ?? new Float32Array(target.outFeatures) };
    throw new FormatError(
      "bad-value",
      target.module,
      "is an embedding beside modules with a bias",
      "PEFT has no lora_bias for embeddings: leave the bias or the embedding out",
    );
  });
}

/** PEFT has one `use_dora` for all modules, and no `lora_bias` beside it. */
function refuseMixedDora(targets: readonly LoraTarget[]): void {
  if (targets.every(({ magnitude }) => magnitude === undefined)) return;
  const other = targets.find(({ magnitude, bias }) => magnitude === undefined || bias !== undefined);
  if (other === undefined) return;
  const problem = other.bias === undefined ? "has no magnitudes beside modules that do (DoRA)" : "has DoRA and a bias";
  throw new FormatError("unsupported-variant", other.module, problem, "Write modules of one kind, or merge them");
}

function parts(target: LoraTarget, options: PeftOptions): [string, Tensor][] {
  const { module, kind, kernel = [], rank, inFeatures, outFeatures, loraA, loraB, bias, magnitude } = target;
  const dtype = options.dtype ?? target.dtype;
  const channels = kernel.reduce((width, size) => width / size, inFeatures);
  const a = storeFloats(loraA, [rank, channels, ...kernel], dtype, `${module}.loraA`);
  const shapeOfB = [outFeatures, rank, ...kernel.map(() => 1)];
  const b = storeFloats(transpose(loraB, rank, outFeatures), shapeOfB, dtype, `${module}.loraB`);
  const names = kind === "embedding" ? ["lora_embedding_A", "lora_embedding_B"] : ["lora_A.weight", "lora_B.weight"];
  const weights: [string, Tensor][] = [
    [names[0]!, a],
    [names[1]!, b],
  ];
  if (magnitude !== undefined) {
    const shape = kernel.length > 0 ? [1, outFeatures, ...kernel.map(() => 1)] : [outFeatures];
    weights.push(["lora_magnitude_vector", storeFloats(magnitude, shape, dtype, `${module}.magnitude`)]);
  }
  if (bias === undefined) return weights;
  const scaling = scalingOf(target);
  if (scaling === 0) {
    throw new FormatError("bad-value", `${module}.bias`, "stands beside a scaling of 0", "Give it another alpha");
  }
  const unscaled = storeFloats(
    bias.map((value) => value / scaling),
    [outFeatures],
    dtype,
    `${module}.bias`,
  );
  return [...weights, ["lora_B.bias", unscaled]];
}

/** The name of a base tensor once PEFT has wrapped its module. */
function inBaseLayer(name: string, modules: ReadonlySet<string>): string {
  const module = moduleOf(name);
  return modules.has(module) ? `${module}.base_layer${name.slice(module.length)}` : name;
}

/** `LoraConfig` by its own field names, sorted as PEFT sorts them. */
function configOf(file: LoraFile, targets: readonly LoraTarget[], modules: ReadonlySet<string>): object {
  const note = file.notes.get(CONFIG_NOTE);
  const kept: Record<string, unknown> = note === undefined ? { task_type: null } : JSON.parse(note);
  const rank = mostCommon(targets.map((target) => target.rank));
  const alpha = mostCommon(targets.map((target) => target.alpha));
  const others = (field: "rank" | "alpha", usual: number) =>
    Object.fromEntries(targets.filter((t) => t[field] !== usual).map((t) => [anchored(t.module), t[field]]));
  const fields: Record<string, unknown> = {
    ...kept,
    alpha_pattern: others("alpha", alpha),
    base_model_name_or_path: file.baseModel,
    bias: biasRule(file, modules),
    fan_in_fan_out: targets.some(({ weightLayout }) => weightLayout === "in-out"),
    inference_mode: true,
    init_lora_weights: true,
    layers_pattern: null,
    layers_to_transform: null,
    exclude_modules: null,
    lora_alpha: alpha,
    lora_bias: targets.some(({ bias }) => bias !== undefined),
    lora_dropout: file.dropout,
    modules_to_save: modulesToSave(file),
    peft_type: "LORA",
    r: rank,
    rank_pattern: others("rank", rank),
    target_modules: [...modules],
    use_dora: targets.some(({ magnitude }) => magnitude !== undefined),
    use_rslora: targets.every(({ rsLora }) => rsLora),
  };
  return Object.fromEntries(Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** A pattern that this path alone matches. */
function anchored(path: string): string {
  return `^${path.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}`;
}

function biasRule(file: LoraFile, modules: ReadonlySet<string>): "none" | "lora_only" | "all" {
  const saved = modulesToSave(file);
  const biased = [...file.replaced.keys()].filter((name) => name.endsWith(".bias")).map(moduleOf);
  const others = biased.filter((module) => !saved?.includes(module));
  if (others.length === 0) return "none";
  return others.every((module) => modules.has(module)) ? "lora_only" : "all";
}

/** The modules that the file replaces whole. */
function modulesToSave({ replaced }: LoraFile): readonly string[] | null {
  const weights = [...replaced.keys()].filter((name) => !name.endsWith(".bias"));
  const saved = new Set(weights.map(moduleOf));
  return saved.size === 0 ? null : [...saved];
}
