import { FormatError, shown } from "../base/errors.js";
import { checkLoraFile, type LoraFile } from "./lora-file.js";

/** Which modules of an adapter to keep, and what to call them. */
export interface ModuleRules {
  /** Keeps these modules and no others: paths, ends of paths (`q_proj`), or beginnings that end in a dot (`model.layers.0.`). */
  readonly only?: readonly string[];
  /** Leaves these modules out, named as in `only`; also whole tensors of the base that belong to them. */
  readonly drop?: readonly string[];
  /** Other names: a path for a path, or a beginning for a beginning, both of which end in a dot or are empty. */
  readonly rename?: readonly (readonly [old: string, name: string])[];
}

/**
 * The same adapters for modules of other names, such as `q_proj` for one layer's `model.layers.0.self_attn.q_proj`.
 * @throws FormatError `duplicate-name`, `bad-name`
 */
export function renameModules(file: LoraFile, rename: (module: string) => string): LoraFile {
  const ofTensor = (name: string) => {
    const module = moduleOf(name);
    return rename(module) + name.slice(module.length);
  };
  const renamed = <T>(tensors: ReadonlyMap<string, T>) => new Map([...tensors].map(([name, t]) => [ofTensor(name), t]));
  return checkLoraFile({
    ...file,
    targets: file.targets.map((target) => ({ ...target, module: rename(target.module) })),
    replaced: renamed(file.replaced),
    carried: renamed(file.carried),
  });
}

/**
 * The modules that rules keep, under the names that they give; a rule that acts on nothing becomes a warning of the file.
 * @throws FormatError `unknown-module` where nothing is left, `duplicate-name`, `bad-name`
 */
export function applyRules(file: LoraFile, { only = [], drop = [], rename = [] }: ModuleRules): LoraFile {
  const unused = new Map<string, string>();
  for (const name of only) unused.set(`only ${name}`, `--only ${shown(name)} names no module`);
  for (const name of drop) unused.set(`drop ${name}`, `--drop ${shown(name)} names no module`);
  for (const [old] of rename) unused.set(`rename ${old}`, `--rename ${shown(old)} names no module`);
  const used = (rule: string) => unused.delete(rule) || true;
  const keeps = (module: string) => {
    const wanted = only.filter((name) => isNamed(module, name) && used(`only ${name}`));
    const unwanted = drop.filter((name) => isNamed(module, name) && used(`drop ${name}`));
    return (only.length === 0 || wanted.length > 0) && unwanted.length === 0;
  };
  const nameOf = (module: string) => {
    const rule = rename.find(([old]) => (isBeginning(old) ? module.startsWith(old) : module === old));
    if (rule === undefined) return module;
    used(`rename ${rule[0]}`);
    return rule[1] + module.slice(rule[0].length);
  };
  const kept = selected(file, keeps);
  if (kept.targets.length === 0 && file.targets.length > 0) {
    const names = file.targets.slice(0, 3).map(({ module }) => module);
    const problem = `leave none of the ${file.targets.length} modules (${names.join(", ")}, …)`;
    throw new FormatError("unknown-module", "--only and --drop", problem, "Name modules that the adapter has");
  }
  const renamed = renameModules(kept, nameOf);
  return { ...renamed, warnings: [...(file.warnings ?? []), ...unused.values()] };
}

function selected(file: LoraFile, keeps: (module: string) => boolean): LoraFile {
  const ofKept = <T>(tensors: ReadonlyMap<string, T>) =>
    new Map([...tensors].filter(([name]) => keeps(moduleOf(name))));
  return {
    ...file,
    targets: file.targets.filter(({ module }) => keeps(module)),
    replaced: ofKept(file.replaced),
    carried: ofKept(file.carried),
  };
}

function isNamed(module: string, name: string): boolean {
  return module === name || module.endsWith(`.${name}`) || (name.endsWith(".") && module.startsWith(name));
}

function isBeginning(name: string): boolean {
  return name === "" || name.endsWith(".");
}

/** The path of the module that a tensor of the base belongs to. */
export function moduleOf(tensor: string): string {
  return tensor.slice(0, Math.max(0, tensor.lastIndexOf(".")));
}
