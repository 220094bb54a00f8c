import { OnnxError } from "../base/errors.js";
import type { Module } from "../graft/modules.js";
import type { Site } from "../graft/sites.js";
import { intOf } from "../graph/attributes.js";
import { fromTensor, toTensor } from "../graph/evaluate/dense.js";
import type { DType, Graph, Node, Tensor } from "../graph/ir.js";
import { producersOf } from "../graph/verbs.js";

/** What is merged into one module: its weight becomes W + scaling A B. A `LoraAdapter` is one. */
export interface LowRankChange {
  readonly module: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly rank: number;
  readonly scaling: number;
  /** [rank, inFeatures] */
  readonly loraA: Float32Array;
  /** [rank, outFeatures] */
  readonly loraB: Float32Array;
  /** Refused: a graph need not have a place for it. */
  readonly bias?: Float32Array | undefined;
}

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

const MERGEABLE: ReadonlySet<DType> = new Set<DType>(["float32", "float64", "float16", "bfloat16"]);

/**
 * What a merge changes in a model's files: W + scaling A B for each module that it names.
 *
 * @param graphs of all branches
 * @param found their modules
 * @param placed the same model's tensors, each left in its file
 * @param sign -1 takes a merged adapter out again
 * @throws OnnxError `unknown-module`, `shape-mismatch`, and `unsupported-type` for a bias, and for weights that are
 * quantised, or that something beside the module takes too
 */
export function planMerge(
  graphs: readonly Graph[],
  found: readonly Module[],
  placed: Graph["initializers"],
  products: readonly LowRankChange[],
  sign: 1 | -1,
): Change[] {
  const modules = new Map(found.map((each) => [each.name, each]));
  const changes = products.flatMap((lora) => {
    const { module: name } = lora;
    const module = modules.get(name);
    if (module === undefined) throw refuse("unknown-module", name, "the model has no module of that name");
    if (lora.bias !== undefined) refuseBias(name);
    if (module.inFeatures !== lora.inFeatures || module.outFeatures !== lora.outFeatures) {
      const sizes = `${lora.inFeatures}x${lora.outFeatures}, and the module's ${module.inFeatures}x${module.outFeatures}`;
      throw refuse("shape-mismatch", name, `the adapter is ${sizes}`);
    }
    const byWeight = new Map(module.sites.map((site) => [site.weight, site]));
    return [...byWeight.values()].map((site) => changeOf(graphs, placed, module, site, lora, sign));
  });
  return combined(changes);
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

function refuse(
  code: "unknown-module" | "shape-mismatch" | "unsupported-type",
  name: string,
  problem: string,
): OnnxError {
  return new OnnxError(
    code,
    `module ${JSON.stringify(name)}`,
    problem,
    "Merge into the model that the adapter was made for",
  );
}

function refuseBias(name: string): never {
  const remedy = "Merge it into the weights that the model is exported from, and export them again";
  throw new OnnxError("unsupported-type", `module ${JSON.stringify(name)}`, "its adapter has a bias", remedy);
}

function changeOf(
  graphs: readonly Graph[],
  weights: Graph["initializers"],
  module: Module,
  site: Site,
  lora: LowRankChange,
  sign: 1 | -1,
): Change {
  const weight = weights.get(site.weight);
  if (weight?.data.kind !== "external")
    throw refuse("unsupported-type", module.name, "its weight is no initializer of elements");
  if (!MERGEABLE.has(weight.dtype)) throw refuse("unsupported-type", module.name, `its weight is ${weight.dtype}`);
  const users = graphs.flatMap(({ nodes }) => nodes).filter(({ inputs }) => inputs.includes(site.weight)).length;
  if (users > module.sites.filter((each) => each.weight === site.weight).length)
    throw refuse("unsupported-type", module.name, "something else takes its weight too");
  const { location, offset, length } = weight.data;
  const [rows, columns] = weight.dims as [number, number];
  const own = graphs.find(({ nodes }) => nodes.includes(site.node))!;
  const isInOut = isStoredInOut(own, site.node, site.weight);
  const factors = factorsOf(module, lora, isInOut, sign, isInOut ? columns : rows);
  return {
    location,
    offset,
    rows,
    rowBytes: length / rows,
    apply: (bytes, first) => addProduct(module.name, weight, bytes, first, factors),
  };
}

/** Whether the rows of a stored weight are the module's inputs: for MatMul and Gather, turned by every transposition. */
function isStoredInOut(graph: Graph, node: Node, weight: string): boolean {
  const producers = producersOf(graph);
  let isInOut = intOf(node.attributes, "transB", 0) === 0;
  const from = node.op === "Gather" ? node.inputs[0] : node.inputs[1];
  for (let name = from; name !== undefined && name !== weight; ) {
    const producer = producers.get(name);
    if (producer?.op === "Transpose") isInOut = !isInOut;
    name = producer?.inputs[0];
  }
  return isInOut;
}

/** The change as left^T right: [rank, rows] and [rank, columns] of the stored matrix. */
interface Factors {
  readonly rank: number;
  readonly left: Float32Array;
  readonly right: Float32Array;
  readonly scaling: number;
}

function factorsOf(module: Module, lora: LowRankChange, isInOut: boolean, sign: 1 | -1, width: number): Factors {
  const { rank, loraA, loraB } = lora;
  const outputs = new Float32Array(rank * width);
  for (let r = 0; r < rank; r++) {
    let from = r * lora.outFeatures;
    for (const [start, count] of module.slice?.ranges ?? [[0, lora.outFeatures] as const]) {
      outputs.set(loraB.subarray(from, from + count), r * width + start);
      from += count;
    }
  }
  const [left, right] = isInOut ? [loraA, outputs] : [outputs, loraA];
  return { rank, left, right, scaling: sign * lora.scaling };
}

/** Sums in float64, rounded once, so that a merge that is taken out again differs by no more than the weights' rounding. */
function addProduct(name: string, weight: Tensor, bytes: Uint8Array, first: number, factors: Factors): Uint8Array {
  const { rank, left, right, scaling } = factors;
  const [rows, columns] = weight.dims as [number, number];
  const count = bytes.length / (bytesOf(weight) / rows);
  const part = fromTensor({ dtype: weight.dtype, dims: [count, columns], data: { kind: "bytes", bytes } })!;
  const { data } = part;
  for (let row = 0; row < count; row++) {
    for (let r = 0; r < rank; r++) {
      const factor = scaling * left[r * rows + first + row]!;
      for (let column = 0; column < columns; column++)
        data[row * columns + column]! += factor * right[r * columns + column]!;
    }
  }
  const merged = toTensor(part)!;
  if (merged.data.kind !== "bytes" || !fromTensor(merged)!.data.every(Number.isFinite)) {
    const problem = `a merged weight is not a finite ${weight.dtype}`;
    throw new OnnxError(
      "not-finite",
      `module ${JSON.stringify(name)}`,
      problem,
      "Merge an adapter with smaller weights",
    );
  }
  return merged.data.bytes;
}

function bytesOf({ data }: Tensor): number {
  return data.kind === "external" ? data.length : 0;
}
