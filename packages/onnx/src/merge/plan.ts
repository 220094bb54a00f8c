import { OnnxError } from "../base/errors.js";
import type { TypedBranch } from "../graft/branches.js";
import { type Links, linksOf } from "../graft/links.js";
import type { Module } from "../graft/modules.js";
import type { Site } from "../graft/sites.js";
import { fromTensor, toTensor } from "../graph/elements/dense.js";
import type { DType, Tensor } from "../graph/ir.js";
import { type Layout, layoutOf, usersOf } from "./layout.js";
import { addProduct, checkMerged, type Factors, factorsOf, type LowRankChange, moduleNamed } from "./product.js";
import { dequantise, numbersOf, requantise, type Scheme, schemeOf } from "./quantised.js";

/** Bytes of a file that a merge changes: a matrix, some of whose rows can be changed at a time. */
export interface Change {
  /** The file, relative to the model's folder; "" for the model's own. */
  readonly location: string;
  readonly offset: number;
  readonly rows: number;
  readonly rowBytes: number;
  /** The bytes of the rows from `first` on as they are to be. @throws OnnxError `not-finite` */
  apply(bytes: Uint8Array, first: number): Uint8Array;
}

/** What became of one module's weight. */
export interface MergedModule {
  /** Name of the module. */
  readonly module: string;
  /** Name of the weight that was changed. */
  readonly weight: string;
  /** Element type of the weight. */
  readonly dtype: DType;
  /** Length of what rounding to codes changed, over the length of what the adapter changes; 0 for floats. */
  readonly quantisationError: number;
  /** Whether the weight, which other modules have too, was written apart for this one. */
  readonly apart: boolean;
}

/** A weight that other modules have too, and its own for a module. */
export interface Apart {
  readonly site: Site;
  readonly module: Module;
  readonly factors: Factors;
  readonly layout: Layout;
}

export interface MergePlan {
  readonly changes: readonly Change[];
  readonly apart: readonly Apart[];
  readonly modules: readonly MergedModule[];
}

/** A model that is merged into. */
export interface Base {
  readonly branches: readonly TypedBranch[];
  readonly modules: readonly Module[];
  /** Every tensor of the model, left in its file. */
  readonly placed: ReadonlyMap<string, Tensor>;
  read(tensor: Tensor): Uint8Array;
}

const FLOATS: ReadonlySet<DType> = new Set<DType>(["float32", "float64", "float16", "bfloat16"]);

/**
 * Plans what a merge changes in a model's files: W + scaling A B for each module that it names.
 * @param sign -1 takes a merged adapter out again
 * @throws OnnxError `unknown-module`, `shape-mismatch`, and `unsupported-type` for a bias and for weights that cannot be written
 */
export function planMerge(base: Base, products: readonly LowRankChange[], sign: 1 | -1): MergePlan {
  const modules = new Map(base.modules.map((each) => [each.name, each]));
  const links = base.branches.map(({ model }) => linksOf(model.graph));
  const plan = { changes: [] as Change[], apart: [] as Apart[], modules: [] as MergedModule[] };
  const quantised = new Map<string, QuantisedWeight>();
  for (const lora of products) {
    const module = checked(modules.get(lora.module), lora);
    const byWeight = new Map(module.sites.map((site) => [site.weight, site]));
    for (const site of byWeight.values()) {
      const own = links.find(({ graph }) => graph.nodes.includes(site.node))!;
      const layout = layoutOf(own, site);
      const isTied = links.some((each) => isShared(each, module, site.weight));
      const told = { module: module.name, weight: site.weight, quantisationError: 0, apart: isTied };
      const tensor = base.placed.get(site.weight);
      if (tensor === undefined) refusePlace(module.name);
      if (!isTied && layout !== undefined && layout.dequantise === undefined && FLOATS.has(tensor.dtype)) {
        plan.changes.push(floatChange(module, site, tensor, layout, lora, sign));
        plan.modules.push({ ...told, dtype: tensor.dtype });
      } else if (isTied && layout !== undefined && layout.dequantise === undefined && FLOATS.has(tensor.dtype)) {
        plan.apart.push({ site, module, layout, factors: factorsOf(module, lora, layout.isInOut, sign) });
        plan.modules.push({ ...told, dtype: tensor.dtype });
      } else {
        const scheme = isTied ? undefined : schemeOf(own, site, layout);
        if (scheme === undefined) refuseQuantised(module.name, site, tensor.dtype, isTied);
        const weight = quantised.get(scheme.codes) ?? new QuantisedWeight(base, own, scheme, module.name);
        quantised.set(scheme.codes, weight);
        const isInOut = layout?.isInOut ?? false;
        const quantisationError = weight.add(factorsOf(module, lora, isInOut, sign));
        plan.modules.push({ ...told, dtype: tensor.dtype, quantisationError });
      }
    }
  }
  const codes = [...quantised.values()].flatMap((weight) => weight.changes());
  return { ...plan, changes: [...combined(plan.changes), ...codes] };
}

function checked(module: Module | undefined, lora: LowRankChange): Module {
  const { module: name } = lora;
  const remedy = "Merge into the model that the adapter was made for, or rename its modules";
  if (module === undefined)
    throw new OnnxError("unknown-module", moduleNamed(name), "the model has no module of that name", remedy);
  if (lora.bias !== undefined) refuseBias(name);
  if (module.inFeatures === lora.inFeatures && module.outFeatures === lora.outFeatures) return module;
  const sizes = `${lora.inFeatures}x${lora.outFeatures}, and the module's ${module.inFeatures}x${module.outFeatures}`;
  throw new OnnxError("shape-mismatch", moduleNamed(name), `the adapter is ${sizes}`, remedy);
}

/** Whether something beside a module computes with its weight. */
function isShared(links: Links, module: Module, weight: string): boolean {
  const own = new Set(module.sites.map(({ node }) => node));
  return [...usersOf(links, weight)].some((node) => !own.has(node) && links.isLive(node));
}

/** One change a weight: the parts of a packed projection lie in the same one. */
function combined(changes: readonly Change[]): Change[] {
  const byPlace = new Map<string, Change>();
  for (const change of changes) {
    const place = `${change.offset} ${change.location}`;
    const before = byPlace.get(place);
    const both = before && {
      ...change,
      apply: (bytes: Uint8Array, first: number) => change.apply(before.apply(bytes, first), first),
    };
    byPlace.set(place, both ?? change);
  }
  return [...byPlace.values()];
}

function floatChange(
  module: Module,
  { weight }: Site,
  tensor: Tensor,
  { rows, columns, isInOut }: Layout,
  lora: LowRankChange,
  sign: 1 | -1,
): Change {
  const { data, dtype } = tensor;
  if (data.kind !== "external") refusePlace(module.name);
  const factors = factorsOf(module, lora, isInOut, sign);
  const rowBytes = data.length / rows;
  return {
    ...{ location: data.location, offset: data.offset, rows, rowBytes },
    apply(bytes, first) {
      const part = fromTensor({ dtype, dims: [bytes.length / rowBytes, columns], data: { kind: "bytes", bytes } });
      if (part === undefined)
        throw new OnnxError("unsupported-type", weight, `is ${dtype}`, "Merge into its float file");
      return mergedBytes(module.name, { ...part, dtype }, first, factors);
    },
  };
}

/** Sums in float64, rounded once, so that a merge that is taken out again differs by no more than the weights' rounding. */
export function mergedBytes(
  name: string,
  part: NonNullable<ReturnType<typeof fromTensor>>,
  first: number,
  factors: Factors,
): Uint8Array {
  addProduct(part.data, first, factors);
  const merged = toTensor(part)!;
  checkMerged(name, part.dtype, fromTensor(merged)!.data);
  return merged.data.kind === "bytes" ? merged.data.bytes : new Uint8Array();
}

/** A quantised weight, whole and in real numbers, since its scales depend on all that is merged into it. */
class QuantisedWeight {
  readonly #base: Base;
  readonly #scheme: Scheme;
  readonly #name: string;
  readonly #real: Float64Array;
  readonly #scales: Float64Array;
  readonly #zeros: Float64Array | undefined;
  readonly #isScaleShared: boolean;

  constructor(base: Base, links: Links, scheme: Scheme, name: string) {
    this.#base = base;
    this.#scheme = scheme;
    this.#name = name;
    const numbers = (tensor: string) => numbersOf(this.#placed(tensor), base.read(this.#placed(tensor)));
    const [scales, zeros] = [numbers(scheme.scale), scheme.zero === undefined ? undefined : numbers(scheme.zero)];
    if (scales === undefined) refusePlace(name);
    this.#scales = scales;
    this.#zeros = zeros;
    this.#isScaleShared = links.consumers(scheme.scale).length > 1;
    this.#real = dequantise(scheme, base.read(this.#placed(scheme.codes)), scales, zeros);
  }

  #placed(name: string): Tensor {
    return this.#base.placed.get(name) ?? refusePlace(this.#name);
  }

  /** @returns the length of what rounding changes, over that of the change */
  add(factors: Factors): number {
    const before = this.#real.slice();
    addProduct(this.#real, 0, factors);
    checkMerged(this.#name, "number", this.#real);
    const { codes, scales } = this.#requantised();
    const seen = dequantise(this.#scheme, codes, scales, this.#zeros);
    const [error, change] = [lengthOf(seen, this.#real), lengthOf(before, this.#real)];
    return change === 0 ? 0 : error / change;
  }

  #requantised() {
    const result = requantise(this.#scheme, this.#real, this.#scales, this.#zeros);
    if (!this.#isScaleShared) return result;
    return requantise(this.#scheme, this.#real, this.#scales, this.#zeros, this.#scales);
  }

  changes(): readonly Change[] {
    const { codes, scales } = this.#requantised();
    const scale = this.#placed(this.#scheme.scale);
    const encoded = toTensor({ dtype: scale.dtype, dims: scale.dims, data: scales })!.data;
    const written = [this.#whole(this.#scheme.codes, codes)];
    if (!this.#isScaleShared && encoded.kind === "bytes") written.push(this.#whole(this.#scheme.scale, encoded.bytes));
    return written;
  }

  #whole(name: string, bytes: Uint8Array): Change {
    const { data } = this.#placed(name);
    if (data.kind !== "external") refusePlace(this.#name);
    const { location, offset, length } = data;
    return { location, offset, rows: 1, rowBytes: length, apply: () => bytes };
  }
}

function lengthOf(a: Float64Array, b: Float64Array): number {
  return Math.sqrt(a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0));
}

function refuseBias(name: string): never {
  const remedy = "Merge it into the weights that the model is exported from, and export them again";
  throw new OnnxError("unsupported-type", moduleNamed(name), "its adapter has a bias", remedy);
}

function refusePlace(name: string): never {
  const problem = "its weight lies inside a function or a branch, or in a form whose bytes do not stay where they are";
  const remedy =
    "Save the model again with onnx.save, without functions; or merge into the weights it is exported from";
  throw new OnnxError("unsupported-type", moduleNamed(name), problem, remedy);
}

function refuseQuantised(name: string, { node }: Site, dtype: DType, isTied: boolean): never {
  const problem = isTied
    ? `its weight is ${dtype}, and other modules have it too`
    : `its weight is ${dtype}, in a form of ${node.op} that is not written here`;
  const remedy = "Merge into the float file of the model, and quantise the result";
  throw new OnnxError("unsupported-type", moduleNamed(name), problem, remedy);
}
