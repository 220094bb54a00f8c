import type { Matrix } from "ml-matrix";
import { FormatError, shown } from "../base/errors.js";
import { checkLoraFile, type LoraFile, type LoraTarget, scalingOf } from "../picture/lora-file.js";
import { refuseParts } from "../picture/refuse-parts.js";
import { refuseReplaced } from "../picture/replaced.js";
import { type MajoritySign, MIX, type Mix } from "./mix.js";
import { denseOperator, denseProduct, productOperator } from "./operators.js";
import { randomMask } from "./random-mask.js";
import { type Mask, type MaskRequest, SPARSIFY, type Sparsify } from "./sparsify.js";
import { type Approximation, approximate } from "./svd.js";

/** The weight of each adapter, how its elements are pruned, and how the results become one adapter. */
interface Recipe {
  readonly of: "factors" | "product";
  readonly sparsify: Sparsify;
  readonly mix: Mix;
}

/** The `combination_type`s of PEFT's `add_weighted_adapter`, by its names. */
const RECIPES = {
  linear: { of: "factors", sparsify: SPARSIFY.none, mix: MIX.sum },
  ties: { of: "factors", sparsify: SPARSIFY.magnitude, mix: MIX.elect },
  dare_linear: { of: "factors", sparsify: SPARSIFY.random, mix: MIX.sum },
  dare_ties: { of: "factors", sparsify: SPARSIFY.random, mix: MIX.elect },
  magnitude_prune: { of: "factors", sparsify: SPARSIFY.magnitude, mix: MIX.sum },
  svd: { of: "product", sparsify: SPARSIFY.none, mix: MIX.sum },
  ties_svd: { of: "product", sparsify: SPARSIFY.magnitude, mix: MIX.elect },
  dare_linear_svd: { of: "product", sparsify: SPARSIFY.random, mix: MIX.sum },
  dare_ties_svd: { of: "product", sparsify: SPARSIFY.random, mix: MIX.elect },
  magnitude_prune_svd: { of: "product", sparsify: SPARSIFY.magnitude, mix: MIX.sum },
} as const satisfies Readonly<Record<string, Recipe>>;

/** A way to combine adapters, by PEFT's name. */
export type CombinationType = "cat" | keyof typeof RECIPES;
/** Every way to combine adapters. */
export const COMBINATION_TYPES: readonly CombinationType[] = [
  "cat",
  ...(Object.keys(RECIPES) as (keyof typeof RECIPES)[]),
];

/** Options of `combine`. */
export interface CombineOptions {
  /** One of each file; by default 1 each, so that `cat` adds the adapters up. */
  readonly weights?: readonly number[];
  /**
   * - `cat` (the default) is exact, at the sum of the ranks; `svd` is the best that there is at a given rank
   * - `*_svd` prune or elect among the elements of the products and then take the best of a rank
   * - the others combine A with A and B with B, which is fast, and far from what the adapters do together
   */
  readonly type?: CombinationType;
  /** Rank of what `svd` and `*_svd` give; by default the largest of the ranks of the module. */
  readonly rank?: number;
  /** Share of the elements that pruning keeps, in [0, 1]; 1 by default. */
  readonly density?: number;
  /** How the `ties` types find the sign that wins; `total` by default. */
  readonly majoritySign?: MajoritySign;
  /** Seed of DARE's choice. */
  readonly seed?: number;
  /** DARE's choice itself, instead of a seed. */
  readonly mask?: (request: MaskRequest) => Mask;
}

/** A combination with the relative error of each module: |M - A B| / |M|, Frobenius, where M is the exact combination. */
export interface Combined {
  /** The combination. */
  readonly file: LoraFile;
  /** Relative error of each module. */
  readonly errors: ReadonlyMap<string, number>;
}

/**
 * One adapter out of several, as PEFT's `add_weighted_adapter` makes it; a module that not all of them have is combined
 * from those that do. Scaling is in the factors: alpha = rank.
 * @throws FormatError `invalid-argument`, `bad-shape` where modules do not fit, `needs-base` for whole tensors
 */
export function combine(files: readonly LoraFile[], options: CombineOptions = {}): Combined {
  const weights = checkOptions(files, options);
  for (const file of files) {
    checkLoraFile(file);
    refuseReplaced(file, "a combination");
    refuseParts(file.targets, "a combination", ["magnitude"]);
  }
  const errors = new Map<string, number>();
  const targets = groupByModule(files, weights).map((parts) => {
    const { target, error } = combineModule(parts, options);
    errors.set(target.module, error);
    return target;
  });
  const [first] = files as [LoraFile];
  const file = { ...first, targets, carried: new Map(), notes: new Map() };
  return { file: checkLoraFile(file), errors };
}

/** One adapter's share of a module. */
interface Part {
  readonly target: LoraTarget;
  readonly weight: number;
  /** Index of the adapter. */
  readonly adapter: number;
}

type Parts = readonly [Part, ...Part[]];

function groupByModule(files: readonly LoraFile[], weights: readonly number[]): Parts[] {
  const groups = new Map<string, [Part, ...Part[]]>();
  for (const [adapter, { targets }] of files.entries()) {
    for (const target of targets) {
      const part = { target, weight: weights[adapter]!, adapter };
      const group = groups.get(target.module);
      if (group === undefined) groups.set(target.module, [part]);
      else group.push(part);
    }
  }
  return [...groups.values()];
}

function combineModule(parts: Parts, options: CombineOptions): { target: LoraTarget; error: number } {
  checkFit(parts);
  const { type = "cat" } = options;
  const rank = options.rank ?? parts.reduce((max, { target }) => Math.max(max, target.rank), 0);
  const exact = concatenate(parts);
  if (type === "cat") return { target: exact, error: 0 };
  if (type === "svd") return fromApproximation(exact, approximate(productOperator(exact), rank), rank);
  const recipe: Recipe = RECIPES[type];
  if (recipe.of === "factors") return { target: { ...exact, ...combineFactors(parts, recipe, options) }, error: 0 };
  const { inFeatures, outFeatures } = exact;
  const products = parts.map((part) => thinned(part, "product", denseProduct(part.target), recipe, options));
  const mixed = recipe.mix(
    products,
    parts.map(({ weight }) => weight),
    options.majoritySign ?? "total",
  );
  return fromApproximation(exact, approximate(denseOperator(mixed, outFeatures, inFeatures), rank), rank);
}

/** [A1; A2; …] and [B1; B2; …], with weights and scalings in the A's, as PEFT has them. */
function concatenate(parts: Parts): LoraTarget {
  const rank = parts.reduce((sum, { target }) => sum + target.rank, 0);
  const [{ target: first }] = parts;
  const loraA = new Float32Array(rank * first.inFeatures);
  const loraB = new Float32Array(rank * first.outFeatures);
  let row = 0;
  for (const { target, weight } of parts) {
    const factor = weight * scalingOf(target);
    loraA.set(
      target.loraA.map((value) => value * factor),
      row * first.inFeatures,
    );
    loraB.set(target.loraB, row * first.outFeatures);
    row += target.rank;
  }
  const dtype = parts.every(({ target }) => target.dtype === first.dtype) ? first.dtype : "F32";
  const bias = sumOfBiases(parts);
  const { bias: _, ...rest } = first;
  return { ...rest, rank, alpha: rank, rsLora: false, loraA, loraB, dtype, ...(bias !== undefined && { bias }) };
}

function sumOfBiases(parts: Parts): Float32Array | undefined {
  if (parts.every(({ target }) => target.bias === undefined)) return undefined;
  const sum = new Float32Array(parts[0].target.outFeatures);
  for (const { target, weight } of parts) {
    for (let o = 0; o < sum.length; o++) sum[o]! += weight * (target.bias?.[o] ?? 0);
  }
  return sum;
}

/** A with A and B with B, each with the root of the weight; a negative weight's sign goes with A. */
function combineFactors(parts: Parts, recipe: Recipe, options: CombineOptions) {
  const [{ target: first }] = parts;
  const ranks = new Set(parts.map(({ target }) => target.rank));
  if (ranks.size > 1) {
    const text = [...ranks].join(", ");
    throw new FormatError(
      "bad-shape",
      first.module,
      `has the ranks ${text}`,
      "Combine different ranks with cat or svd",
    );
  }
  const factors = parts.map(({ target, weight }) => weight * scalingOf(target));
  const roots = factors.map((factor) => Math.sqrt(Math.abs(factor)));
  const mixed = (part: "A" | "B", weights: readonly number[]) => {
    const tensors = parts.map((one) => {
      const values = part === "A" ? one.target.loraA : one.target.loraB;
      return thinned(one, part, Float64Array.from(values), recipe, options);
    });
    return Float32Array.from(recipe.mix(tensors, weights, options.majoritySign ?? "total"));
  };
  const loraA = mixed(
    "A",
    roots.map((root, k) => (factors[k]! >= 0 ? root : -root)),
  );
  return { rank: first.rank, alpha: first.rank, rsLora: false, loraA, loraB: mixed("B", roots) };
}

function thinned(
  { target: { module }, adapter }: Part,
  part: MaskRequest["part"],
  values: Float64Array,
  { sparsify }: Recipe,
  { density = 1, mask, seed = 0 }: CombineOptions,
): Float64Array {
  const request = { module, part, adapter, length: values.length };
  return sparsify(values, density, () => mask?.(request) ?? randomMask(request, density, seed));
}

function fromApproximation(target: LoraTarget, { left, right, error }: Approximation, rank: number) {
  const columns = (matrix: Matrix) => Float32Array.from(matrix.transpose().to1DArray());
  return {
    target: { ...target, rank, alpha: rank, rsLora: false, loraA: columns(right), loraB: columns(left) },
    error,
  };
}

function checkFit(parts: Parts): void {
  const [{ target: first }] = parts;
  for (const { target } of parts) {
    for (const field of ["kind", "kernel", "inFeatures", "outFeatures", "weightLayout"] as const) {
      if (String(target[field]) === String(first[field])) continue;
      if (field === "weightLayout" && (target[field] ?? first[field]) === undefined) continue;
      throw new FormatError(
        "bad-shape",
        `${first.module}.${field}`,
        `is ${first[field]} in one adapter, ${target[field]} in another`,
        "Combine adapters of one base model",
      );
    }
  }
}

/** @returns the weights */
function checkOptions(files: readonly LoraFile[], options: CombineOptions): readonly number[] {
  if (!Array.isArray(files)) refuse("files", `is ${shown(files)}`, "Pass a list of adapters");
  if (typeof options !== "object" || options === null) refuse("options", `is ${shown(options)}`, "Pass an object");
  const { weights = files.map(() => 1), rank, density = 1, type = "cat" } = options;
  if (files.length === 0) refuse("files", "are none", "Pass at least one adapter");
  if (!Array.isArray(weights)) refuse("weights", `is ${shown(weights)}`, "Pass a list of numbers");
  if (weights.length !== files.length) refuse("weights", `are ${weights.length}`, `Pass ${files.length}`);
  if (!weights.every(Number.isFinite)) refuse("weights", "are not all numbers", "Pass finite numbers");
  if (!COMBINATION_TYPES.includes(type)) {
    refuse("type", `is ${shown(type)}`, `Pass one of ${COMBINATION_TYPES.join(", ")}`);
  }
  if (rank !== undefined && !(Number.isInteger(rank) && rank >= 1)) refuse("rank", `is ${rank}`, "Pass 1 or more");
  const least = type.startsWith("dare") ? Number.MIN_VALUE : 0;
  if (!(density >= least && density <= 1))
    refuse("density", `is ${density}`, "Pass a share in [0, 1], above 0 for DARE");
  return weights;
}

function refuse(where: string, problem: string, remedy: string): never {
  throw new FormatError("invalid-argument", where, problem, remedy);
}
