import type { WeightLayout } from "microlora";
import { FormatError } from "../base/errors.js";
import { toFloats } from "../picture/floats.js";
import { checkLoraFile, type LoraFile, type LoraTarget } from "../picture/lora-file.js";
import type { Tensor, TensorFile } from "../picture/tensor-file.js";
import type { TensorInfo } from "../safetensors/header.js";
import { biasChange, productChange, replacement, type TensorChange } from "./change.js";

export interface MergeOptions {
  /** Subtracts what merging added; false by default. */
  readonly unmerge?: boolean;
  /** How linear weights lie; by default as the adapter's file says, else as the model's shapes tell: `in-out` in GPT-2. */
  readonly weightLayout?: WeightLayout;
}

/**
 * What merging does to which tensors, checked against all of them before the first is touched.
 * @throws FormatError `missing-tensor`, `bad-shape`, `unsupported-dtype`, `needs-base` to undo a replacement
 */
export function planMerge(
  tensors: ReadonlyMap<string, TensorInfo>,
  file: LoraFile,
  { unmerge = false, weightLayout }: MergeOptions = {},
): ReadonlyMap<string, TensorChange> {
  checkLoraFile(file);
  if (unmerge && file.replaced.size > 0) {
    throw new FormatError("needs-base", [...file.replaced.keys()][0]!, "was replaced whole", "Keep the base model");
  }
  const sign = unmerge ? -1 : 1;
  const nameOf = nameRule(tensors, file);
  const plan = new Map<string, TensorChange>();
  const usual = usualLayout(tensors);
  const layoutOf = (target: LoraTarget, { shape }: TensorInfo) =>
    weightLayout ?? target.weightLayout ?? layoutByShape(target, shape) ?? usual;
  const find = (path: string): [string, TensorInfo] => {
    const name = nameOf(path);
    const info = tensors.get(name);
    if (info !== undefined) return [name, info];
    throw new FormatError(
      "missing-tensor",
      path,
      "is not in the model",
      "Merge into the model that it was trained on; a tied head is stored as the embedding only",
    );
  };
  for (const [path, tensor] of file.replaced) {
    const [name, info] = find(path);
    plan.set(name, replacement(name, info, toFloats(tensor, path), tensor.shape));
  }
  for (const target of file.targets) {
    const [name, info] = find(`${target.module}.weight`);
    plan.set(name, productChange(name, info, { ...target, weightLayout: layoutOf(target, info) }, sign));
    if (target.bias === undefined) continue;
    const [biasName, biasInfo] = find(`${target.module}.bias`);
    plan.set(biasName, biasChange(biasName, biasInfo, target.bias, sign));
  }
  return plan;
}

/** Merges into tensors in memory; those that do not change are the same objects. @throws FormatError as `planMerge` */
export function mergeTensors(base: TensorFile, file: LoraFile, options?: MergeOptions): TensorFile {
  const plan = planMerge(base.tensors, file, options);
  const tensors = new Map<string, Tensor>(base.tensors);
  for (const [name, change] of plan) {
    const tensor = base.tensors.get(name)!;
    tensors.set(name, { ...tensor, data: change.apply(tensor.data, 0) });
  }
  return { metadata: base.metadata, tensors };
}

/** The layout in which a matrix that is not square fits, if one does. */
function layoutByShape(
  { inFeatures, outFeatures }: LoraTarget,
  [rows, cols]: readonly number[],
): WeightLayout | undefined {
  if (inFeatures === outFeatures) return undefined;
  if (rows === outFeatures && cols === inFeatures) return "out-in";
  return rows === inFeatures && cols === outFeatures ? "in-out" : undefined;
}

/**
 * The layout of a model's square matrices, which do not show it: that of the ones that have a bias, whose length is the
 * output's; `out-in` where there are none, as PyTorch's Linear has it.
 */
function usualLayout(tensors: ReadonlyMap<string, TensorInfo>): WeightLayout {
  const votes = { "in-out": 0, "out-in": 0 };
  for (const [name, { shape }] of tensors) {
    const bias = name.endsWith(".weight") ? tensors.get(`${name.slice(0, -".weight".length)}.bias`) : undefined;
    const [rows, cols] = shape;
    if (bias === undefined || shape.length !== 2 || rows === cols) continue;
    if (bias.shape[0] === rows) votes["out-in"]++;
    if (bias.shape[0] === cols) votes["in-out"]++;
  }
  return votes["in-out"] > votes["out-in"] ? "in-out" : "out-in";
}

/** Places in a model where the first module of an adapter is looked for. */
const MAX_PREFIXES = 16;

/**
 * From a module's tensor to its name in the model's file. A file of a bare model has paths without the first part or two
 * that a model with a head has (`h.0.attn` for `transformer.h.0.attn`), or the other way round.
 */
function nameRule(tensors: ReadonlyMap<string, TensorInfo>, { targets }: LoraFile): (path: string) => string {
  const paths = targets.map(({ module }) => `${module}.weight`);
  const fits = (rule: (path: string) => string) => paths.every((path) => tensors.has(rule(path)));
  const drop = (count: number) => (path: string) => path.split(".").slice(count).join(".");
  const first = paths[0] ?? "";
  const prefixes = [...tensors.keys()].flatMap((name) =>
    name.endsWith(`.${first}`) ? [name.slice(0, -first.length)] : [],
  );
  const rules = [
    drop(0),
    drop(1),
    drop(2),
    ...prefixes.slice(0, MAX_PREFIXES).map((prefix) => (path: string) => prefix + path),
  ];
  return rules.find(fits) ?? drop(0);
}
