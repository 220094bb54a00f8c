import type { WeightLayout } from "microlora";
import type { LoraTarget } from "../picture/lora-file.js";
import type { TensorInfo } from "../safetensors/header.js";

/** Places in a model where the first module of an adapter is looked for. */
const MAX_PREFIXES = 16;

/**
 * From a module's tensor to its name in the model's file. A file of a bare model has paths without the first part or two
 * that a model with a head has (`h.0.attn` for `transformer.h.0.attn`), or the other way round.
 * @param modules those that have to be there
 */
export function nameRule(
  tensors: ReadonlyMap<string, TensorInfo>,
  modules: readonly string[],
): (path: string) => string {
  const paths = modules.map((module) => `${module}.weight`);
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

/** The layout in which a matrix that is not square fits, if one does. */
export function layoutByShape(
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
export function usualLayout(tensors: ReadonlyMap<string, TensorInfo>): WeightLayout {
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
