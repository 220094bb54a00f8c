import { floatOf } from "../graph/attributes.js";
import type { Node } from "../graph/ir.js";
import { intOf, type Links } from "./links.js";
import { weightOf } from "./weight.js";

/** One place in a graph where a weight acts: a projection y = x W (+ b), or a table of embeddings y = W[ids]. */
export interface Site {
  readonly kind: "linear" | "embedding";
  /** The node that the weight belongs to. */
  readonly node: Node;
  /** Value x [..., inFeatures], or ids. */
  readonly input: string;
  /**
   * Value y [..., outFeatures] that a change is added to: before a bias in a node of its own, which onnxruntime fuses with
   * what comes after it (SkipLayerNormalization, BiasGelu), so that the zero adapter gives the same bits.
   */
  readonly output: string;
  /** The node that defines `output`. */
  readonly last: Node;
  /** The initializer that holds the weight. */
  readonly weight: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** What the product is multiplied by: `alpha` of Gemm, and of FusedMatMul, into which onnxruntime folds a scale around it. */
  readonly scale?: number;
}

/** A node that has a weight matrix but cannot be adapted, and why. */
export interface Refusal {
  readonly node: Node;
  readonly weight: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly reason: string;
}

interface Match extends Omit<Site, "node" | "last"> {
  readonly last?: Node;
}

type Recogniser = (links: Links, node: Node) => Match | string | undefined;

/** By domain and operator: the site of a node, the reason why it is none, or undefined if it has no weight. */
const RECOGNISERS: Readonly<Record<string, Recogniser>> = {
  MatMul: (links, node) => matmul(links, node, false),
  "com.microsoft:FusedMatMul": (links, node) =>
    intOf(node, "transA", 0) || intOf(node, "transBatchA", 0) || intOf(node, "transBatchB", 0)
      ? undefined
      : matmul(links, node, intOf(node, "transB", 0) === 1),
  Gemm: (links, node) => (intOf(node, "transA", 0) ? undefined : matmul(links, node, intOf(node, "transB", 0) === 1)),
  "com.microsoft:MatMulNBits": nBits,
  "com.microsoft:MatMulBnb4": nBits,
  MatMulInteger: matmulInteger,
  "com.microsoft:MatMulIntegerToFloat": (links, node) => quantised(links, node, node.inputs[0]!),
  "com.microsoft:DynamicQuantizeMatMul": (links, node) => linear(links, node, node.inputs[0]!, node.inputs[1]!, false),
  Gather: gather,
  "com.microsoft:GatherBlockQuantized": gatherBlocks,
  QLinearMatMul: (links, node) => whole(links, node, 3, "computes on integers from end to end"),
  "com.microsoft:QAttention": (links, node) => whole(links, node, 1, "holds its projections inside, quantised"),
  "com.microsoft:Attention": (links, node) => whole(links, node, 1, "holds its projections inside"),
  Conv: (links, node) => convolution(links, node),
};

/** Every node of a graph that has a weight matrix, in the order of the graph. */
export function findSites(links: Links): { readonly sites: readonly Site[]; readonly refusals: readonly Refusal[] } {
  const sites: Site[] = [];
  const refusals: Refusal[] = [];
  for (const node of links.graph.nodes) {
    const found = RECOGNISERS[node.domain === "" ? node.op : `${node.domain}:${node.op}`]?.(links, node);
    if (found === undefined) continue;
    if (typeof found === "string") refusals.push(refusal(links, node, found));
    else sites.push({ last: node, ...found, node });
  }
  return { sites, refusals };
}

function matmul(links: Links, node: Node, transposed: boolean): Match | undefined {
  const [x, w] = node.inputs;
  return weightOf(links, x!) === undefined ? linear(links, node, x!, w!, transposed) : undefined;
}

/** A product with a constant matrix on the right. */
function linear(links: Links, node: Node, x: string, w: string, transposed: boolean): Match | undefined {
  const weight = weightOf(links, w);
  if (weight?.dims.length !== 2) return undefined;
  const [inFeatures, outFeatures] = transposed
    ? [weight.dims[1]!, weight.dims[0]!]
    : [weight.dims[0]!, weight.dims[1]!];
  const scale = floatOf(node.attributes, "alpha", 1);
  const output = node.outputs[0]!;
  return {
    kind: "linear",
    input: x,
    output,
    weight: weight.source,
    inFeatures,
    outFeatures,
    ...(scale !== 1 && { scale }),
  };
}

function nBits(links: Links, node: Node): Match | undefined {
  const [x, w] = node.inputs;
  const [inFeatures, outFeatures] = [intOf(node, "K", 0), intOf(node, "N", 0)];
  if (links.constant(w!) === undefined || inFeatures < 1 || outFeatures < 1) return undefined;
  return {
    kind: "linear",
    input: x!,
    output: node.outputs[0]!,
    weight: w!,
    inFeatures,
    outFeatures,
  };
}

/** DynamicQuantizeLinear -> MatMulInteger -> Cast -> Mul by the scales: x is what was quantised, y the product in floats. */
function matmulInteger(links: Links, node: Node): Match | string | undefined {
  if (weightOf(links, node.inputs[1]!) === undefined) return undefined;
  const quantise = links.producer(node.inputs[0]!);
  const cast = onlyConsumer(links, node.outputs[0]!, "Cast");
  const scale = cast && onlyConsumer(links, cast.outputs[0]!, "Mul");
  if (quantise?.op !== "DynamicQuantizeLinear" || scale === undefined) return "is not followed by Cast and Mul";
  return quantised(links, node, node.inputs[0]!, scale);
}

function quantised(links: Links, node: Node, q: string, last = node): Match | string | undefined {
  const quantise = links.producer(q);
  const weight = weightOf(links, node.inputs[1]!);
  if (weight?.dims.length !== 2) return undefined;
  if (quantise?.op !== "DynamicQuantizeLinear") return "has an input that no DynamicQuantizeLinear makes";
  const [inFeatures, outFeatures] = [weight.dims[0]!, weight.dims[1]!];
  return {
    kind: "linear",
    input: quantise.inputs[0]!,
    output: last.outputs[0]!,
    last,
    weight: weight.source,
    inFeatures,
    outFeatures,
  };
}

function gather(links: Links, node: Node): Match | undefined {
  const [table, ids] = node.inputs;
  const weight = weightOf(links, table!);
  if (weight?.dims.length !== 2 || intOf(node, "axis", 0) !== 0 || links.constant(ids!) !== undefined) return undefined;
  if (!FLOATS.has(weight.dtype)) return undefined;
  const [inFeatures, outFeatures] = [weight.dims[0]!, weight.dims[1]!];
  return { kind: "embedding", input: ids!, output: node.outputs[0]!, weight: weight.source, inFeatures, outFeatures };
}

const FLOATS: ReadonlySet<string> = new Set(["float32", "float16", "bfloat16", "int8", "uint8", "int4", "uint4"]);

function gatherBlocks(links: Links, node: Node): Match | undefined {
  const scales = links.constant(node.inputs[2]!);
  if (scales?.dims.length !== 2) return undefined;
  const [inFeatures, outFeatures] = [scales.dims[0]!, scales.dims[1]! * intOf(node, "block_size", 128)];
  const weight = weightOf(links, node.inputs[0]!)?.source ?? node.inputs[0]!;
  return { kind: "embedding", input: node.inputs[1]!, output: node.outputs[0]!, weight, inFeatures, outFeatures };
}

function whole(links: Links, node: Node, weight: number, reason: string): string | undefined {
  return weightOf(links, node.inputs[weight] ?? "") === undefined ? undefined : reason;
}

function convolution(links: Links, node: Node): string | undefined {
  return weightOf(links, node.inputs[1]!) === undefined ? undefined : "is a convolution";
}

function refusal(links: Links, node: Node, reason: string): Refusal {
  const weights = node.inputs.map((input) => weightOf(links, input)).filter((weight) => (weight?.dims.length ?? 0) > 1);
  const { source = "", dims = [] } = weights[0] ?? {};
  const [inFeatures, outFeatures] = node.op === "Conv" ? [dims[1] ?? 0, dims[0] ?? 0] : [dims[0] ?? 0, dims[1] ?? 0];
  return { node, weight: source, inFeatures, outFeatures, reason };
}

function onlyConsumer(links: Links, value: string, op: string): Node | undefined {
  const [consumer, ...others] = links.consumers(value);
  return consumer?.op === op && others.length === 0 && !links.isOutput(value) ? consumer : undefined;
}
