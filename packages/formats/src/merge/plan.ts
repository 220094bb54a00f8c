import type { WeightLayout } from "microlora";
import { FormatError } from "../base/errors.js";
import { checkLoraFile, type LoraFile, type LoraTarget } from "../picture/lora-file.js";
import type { Tensor, TensorFile } from "../picture/tensor-file.js";
import type { TensorInfo } from "../safetensors/header.js";
import { biasChange, productChange, replacement, type TensorChange } from "./change.js";
import { type AddedTensor, type ConfigChange, isHeadName, planHead } from "./head.js";
import { layoutByShape, nameRule, usualLayout } from "./names.js";

/** Options of merging. */
export interface MergeOptions {
  /** Subtracts what merging added; false by default. */
  readonly unmerge?: boolean;
  /** How linear weights lie; by default as the adapter's file says, else as the model's shapes tell: `in-out` in GPT-2. */
  readonly weightLayout?: WeightLayout;
  /**
   * Whether the model's head is its embedding (`tie_word_embeddings`), so that it is written apart where the adapter changes
   * one of the two; by default as the model's config.json says, where `mergeSafetensors` finds one.
   */
  readonly tiedHead?: boolean;
}

/** What merging does to a model. */
export interface MergePlan {
  /** By tensors of the model. */
  readonly changes: ReadonlyMap<string, TensorChange>;
  /** Tensors that the model did not have. */
  readonly added: ReadonlyMap<string, AddedTensor>;
  /** What has to be said in the merged model's config.json. */
  readonly config: ConfigChange;
  /** Warnings for the user of the merged model. */
  readonly warnings: readonly string[];
}

/**
 * What merging does to which tensors, checked against all of them before the first is touched.
 * @throws FormatError `missing-tensor`, `bad-shape`, `unsupported-dtype`, `needs-base` to undo a replacement or DoRA
 */
export function planMerge(
  tensors: ReadonlyMap<string, TensorInfo>,
  file: LoraFile,
  { unmerge = false, weightLayout, tiedHead }: MergeOptions = {},
): MergePlan {
  checkLoraFile(file);
  if (unmerge && file.replaced.size > 0) {
    throw new FormatError("needs-base", [...file.replaced.keys()][0]!, "was replaced whole", "Keep the base model");
  }
  const usual = usualLayout(tensors);
  const layoutOf = (target: LoraTarget, { shape }: TensorInfo) =>
    weightLayout ?? target.weightLayout ?? layoutByShape(target, shape) ?? usual;
  const hasHead = [...tensors.keys()].some(isHeadName);
  const elsewhere = file.targets
    .map(({ module }) => module)
    .filter((module) => hasHead || !isHeadName(`${module}.weight`));
  const nameOf = nameRule(tensors, elsewhere);
  const changes = new Map<string, TensorChange>();
  const head = planHead({ tensors, file, nameOf, tiedHead, unmerge });
  for (const [path, tensor] of file.replaced) {
    if (head.handles(path)) continue;
    const [name, info] = find(tensors, nameOf(path), path);
    changes.set(name, replacement(name, info, tensor));
  }
  for (const target of file.targets) {
    const path = `${target.module}.weight`;
    if (head.handles(path)) continue;
    const [name, info] = find(tensors, nameOf(path), path);
    const turned = { ...target, weightLayout: layoutOf(target, info) };
    changes.set(name, matrixChange(name, info, turned, carriedBase(file, path, info), unmerge ? -1 : 1));
    if (target.bias === undefined) continue;
    const [biasName, biasInfo] = findBias(tensors, nameOf(`${target.module}.bias`), target.module);
    changes.set(biasName, biasChange(biasName, biasInfo, target, unmerge ? -1 : 1));
  }
  return { changes, added: head.added, config: head.config, warnings: head.warnings };
}

/** The base's rows as the adapter's file carries them, where there are more of them than the model has. */
function carriedBase(file: LoraFile, path: string, info: TensorInfo): Tensor | undefined {
  const carried = file.carried.get(path);
  return carried !== undefined && String(carried.shape) !== String(info.shape) ? carried : undefined;
}

function matrixChange(
  name: string,
  info: TensorInfo,
  target: LoraTarget,
  carried: Tensor | undefined,
  sign: 1 | -1,
): TensorChange {
  if (carried === undefined || sign === -1) return productChange(name, info, target, sign);
  const { whole } = replacement(name, info, carried);
  const change = productChange(name, whole, target, sign);
  return { whole: { ...whole, data: change.apply(whole.data, 0) } };
}

function find(tensors: ReadonlyMap<string, TensorInfo>, name: string, path: string): readonly [string, TensorInfo] {
  const info = tensors.get(name);
  if (info !== undefined) return [name, info];
  const some = [...tensors.keys()].slice(0, 2).join(", ") || "nothing";
  throw new FormatError(
    "missing-tensor",
    path,
    `is not in the model, which has ${some} and others`,
    "Merge into the model that it was trained on, or rename modules (--rename of the command)",
  );
}

function findBias(tensors: ReadonlyMap<string, TensorInfo>, name: string, module: string): [string, TensorInfo] {
  const info = tensors.get(name);
  if (info !== undefined) return [name, info];
  const problem = "has no bias in the model, and the adapter adds one (lora_bias)";
  throw new FormatError(
    "missing-tensor",
    module,
    problem,
    "Run it beside the model: there is nothing to merge it into",
  );
}

/** Merges into tensors in memory; those that do not change are the same objects. @throws FormatError as `planMerge` */
export function mergeTensors(base: TensorFile, file: LoraFile, options?: MergeOptions): TensorFile {
  const { changes, added } = planMerge(base.tensors, file, options);
  const tensors = new Map<string, Tensor>(base.tensors);
  for (const [name, change] of changes) tensors.set(name, changed(base.tensors.get(name)!, change));
  for (const [name, { like, change }] of added) {
    const tensor = base.tensors.get(like)!;
    tensors.set(name, change === undefined ? tensor : changed(tensor, change));
  }
  return { metadata: base.metadata, tensors };
}

function changed(tensor: Tensor, change: TensorChange): Tensor {
  return "whole" in change ? change.whole : { ...tensor, data: change.apply(tensor.data, 0) };
}
