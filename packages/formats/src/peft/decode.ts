import { FormatError, shown } from "../base/errors.js";
import { decodeUtf8 } from "../base/json.js";
import { refuseLookalike } from "../base/lookalikes.js";
import type { DecodeOptions } from "../format.js";
import { checkLoraFile, type LoraFile, type LoraTarget } from "../picture/lora-file.js";
import type { Tensor, TensorFile } from "../picture/tensor-file.js";
import { decodeSafetensors } from "../safetensors/safetensors.js";
import { CONFIG_FILE, type PeftConfig, readConfig, WEIGHTS_FILE } from "./config.js";
import { chooseAdapter, type Name, type Part, parseName, withoutWrappers } from "./names.js";
import { patternLookup } from "./patterns.js";
import { readTarget } from "./target.js";

/** The two files of a PEFT folder. */
export interface PeftFolder {
  /** `adapter_config.json` */
  readonly config: Uint8Array;
  /** `adapter_model.safetensors` */
  readonly weights: Uint8Array;
}

/** The key of the notes under which a config is kept, to be written back. */
export const CONFIG_NOTE = "peft.config";

/**
 * Reads what `PeftModel.save_pretrained` wrote; heeds `adapter`.
 * @throws FormatError, among others `unsupported-variant` for whatever is more than two factors and DoRA's magnitudes,
 * `bad-shape` where the configuration says another rank than the tensors have
 */
export function decodePeft({ config, weights }: PeftFolder, options: DecodeOptions = {}): LoraFile {
  refuseLookalike(config, CONFIG_FILE, "json");
  refuseLookalike(weights, WEIGHTS_FILE, "safetensors");
  return fromTensors(decodeSafetensors(weights), decodeUtf8(config, CONFIG_FILE), options);
}

/**
 * The same for tensors that were already read, for example by `decodePyTorch` from an `adapter_model.bin`.
 * @param configText the text of `adapter_config.json`
 * @throws FormatError as `decodePeft`
 */
export function fromTensors({ tensors }: TensorFile, configText: string, options: DecodeOptions = {}): LoraFile {
  const config = readConfig(configText);
  const { modules, replaced, carried } = sortTensors(tensors, config, options.adapter);
  if (modules.size === 0) {
    throw new FormatError("missing-tensor", "file", "holds no lora_A and lora_B", "Save the adapter with PEFT");
  }
  refuseTooMany(modules, config.alphaPattern, "alpha_pattern");
  refuseTooMany(modules, config.rankPattern, "rank_pattern");
  const alphas = patternLookup(config.alphaPattern, `${CONFIG_FILE}: alpha_pattern`);
  const ranks = patternLookup(config.rankPattern, `${CONFIG_FILE}: rank_pattern`);
  const targets = [...modules].map(([module, parts]) => {
    const target = readTarget(module, parts, config, alphas.find(module) ?? config.alpha);
    checkRank(target, ranks.find(module) ?? config.rank);
    checkDora(target, config.isDora);
    return target;
  });
  return checkLoraFile({
    targets,
    baseModel: config.baseModel,
    dropout: config.dropout,
    replaced,
    carried,
    notes: new Map([[CONFIG_NOTE, JSON.stringify(Object.fromEntries(config.json))]]),
    warnings: [
      ...warning(alphas.unmatched(), (names) => `alpha_pattern has ${names}, which acts on no module`),
      ...warning(ranks.unmatched(), (names) => `rank_pattern has ${names}, which acts on no module`),
      ...targetWarnings(config.targetModules, targets),
    ],
  });
}

interface Sorted {
  readonly modules: ReadonlyMap<string, ReadonlyMap<Part, Tensor>>;
  readonly replaced: ReadonlyMap<string, Tensor>;
  readonly carried: ReadonlyMap<string, Tensor>;
}

/** The tensors of one adapter by module and part, and those of the base beside them. */
function sortTensors(
  tensors: ReadonlyMap<string, Tensor>,
  { trainsBiases }: PeftConfig,
  wanted: string | undefined,
): Sorted {
  const names = new Map([...withoutWrappers(tensors.keys())].map(([key, bare]) => [key, parseName(bare)]));
  const adapters = new Set([...names.values()].flatMap((name) => (isLora(name) ? [name.adapter] : [])));
  const chosen = chooseAdapter(adapters, wanted);
  const modules = new Map<string, Map<Part, Tensor>>();
  const base = new BaseTensors(names, adapters, chosen);
  for (const [key, name] of names) {
    const tensor = tensors.get(key)!;
    if (name.part === "base") base.add(name.path, tensor);
    else if (name.part === "base_layer.bias" || name.part === "base_layer.weight") {
      const [, parameter] = name.part.split(".");
      const isTrained = trainsBiases && parameter === "bias";
      (isTrained ? base.replaced : base.carried).set(`${name.path}.${parameter}`, tensor);
    } else if (name.adapter === chosen) {
      const parts = modules.get(name.path) ?? new Map<Part, Tensor>();
      if (parts.has(name.part)) throw new FormatError("duplicate-name", shown(key), "is there twice", "Save it again");
      modules.set(name.path, parts.set(name.part, tensor));
    }
  }
  return { modules, replaced: base.replaced, carried: base.carried };
}

function isLora({ part }: Name): boolean {
  return part.startsWith("lora_");
}

/** With `bias="all"`, a module that was trained whole is there three times: as itself, as the wrapped, and as it was. */
const WRAPPED = /^(.*)\.(modules_to_save|original_module)\.(.+)$/s;

/** Tensors of the base model in an adapter's file: those that were trained whole, and those that merely come along. */
class BaseTensors {
  readonly replaced = new Map<string, Tensor>();
  readonly carried = new Map<string, Tensor>();
  readonly #paths: ReadonlySet<string>;
  readonly #adapters: ReadonlySet<string | null>;
  readonly #chosen: string;

  constructor(names: ReadonlyMap<string, Name>, adapters: ReadonlySet<string | null>, chosen: string | null) {
    this.#paths = new Set([...names.values()].flatMap(({ part, path }) => (part === "base" ? [path] : [])));
    this.#chosen = chosen ?? "default";
    this.#adapters = new Set([...adapters, this.#chosen]);
  }

  add(path: string, tensor: Tensor): void {
    const [, module, wrapper, rest = ""] = WRAPPED.exec(path) ?? [];
    if (module === undefined) {
      this.replaced.set(path, tensor);
      return;
    }
    const [adapter = "", ...more] = rest.split(".");
    const isNamed = more.length > 0 && this.#adapters.has(adapter);
    if (isNamed && adapter !== this.#chosen) return;
    const itself = `${module}.${isNamed ? more.join(".") : rest}`;
    if (wrapper === "original_module" || this.#paths.has(itself)) this.carried.set(path, tensor);
    else this.replaced.set(itself, tensor);
  }
}

/** PEFT makes the factors by the rank of the configuration, and refuses tensors of another one. */
function checkRank({ module, rank }: LoraTarget, said: number | undefined): void {
  if (said === undefined || said === rank) return;
  throw new FormatError(
    "bad-shape",
    module,
    `has tensors of rank ${rank}, and ${CONFIG_FILE} says ${said}`,
    "Put the files of one adapter side by side; A is [rank, in] and B is [out, rank]",
  );
}

function checkDora({ module, magnitude }: LoraTarget, isDora: boolean | undefined): void {
  if (isDora === undefined || isDora === (magnitude !== undefined)) return;
  const problem = isDora ? "has no lora_magnitude_vector, which DoRA needs" : "has magnitudes of DoRA";
  throw new FormatError(
    isDora ? "missing-tensor" : "unexpected-tensor",
    module,
    `${problem}, and ${CONFIG_FILE} says use_dora ${isDora}`,
    "Put the files of one adapter side by side",
  );
}

/** Every pattern is tried on every module; models have far less of both, and a hostile file could ask for hours. */
const MAX_MATCHES = 2_000_000;

function refuseTooMany(modules: ReadonlyMap<string, unknown>, patterns: ReadonlyMap<string, number>, field: string) {
  if (modules.size * patterns.size <= MAX_MATCHES) return;
  const problem = `has ${patterns.size} patterns for ${modules.size} modules`;
  throw new FormatError("too-large", `${CONFIG_FILE}: ${field}`, problem, "Fold the scalings into B");
}

/** Where `target_modules` is a list, PEFT adapts the modules that it names, and no others. */
function targetWarnings(names: readonly string[] | null, targets: readonly LoraTarget[]): readonly string[] {
  if (names === null || names.length * targets.length > MAX_MATCHES) return [];
  const isNamed = (module: string, name: string) => module === name || module.endsWith(`.${name}`);
  const unused = names.filter((name) => !targets.some(({ module }) => isNamed(module, name)));
  const unnamed = targets.flatMap(({ module }) => (names.some((name) => isNamed(module, name)) ? [] : [module]));
  return [
    ...warning(unused, (listed) => `target_modules has ${listed}, of which the file has no adapter`),
    ...warning(unnamed, (listed) => `target_modules does not name ${listed}, so PEFT leaves it out`),
  ];
}

function warning(names: readonly string[], say: (listed: string) => string): readonly string[] {
  if (names.length === 0) return [];
  const listed = names.slice(0, 8).map(shown).join(", ");
  return [say(names.length > 8 ? `${listed} and ${names.length - 8} more` : listed)];
}
