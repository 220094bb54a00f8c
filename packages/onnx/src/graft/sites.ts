import { floatOf, intsOf, stringOf } from "../graph/attributes.js";
import { elementCount } from "../graph/dtype.js";
import type { Graph, Node } from "../graph/ir.js";
import { productTerms } from "./einsum-product.js";
import { intOf, type Links, linksOf } from "./links.js";
import { type Weight, weightOf } from "./weight.js";

/** One place in a graph where a weight acts: a projection y = x W (+ b), a table of embeddings y = W[ids], or a convolution. */
export interface Site {
  readonly kind: "linear" | "embedding" | "conv";
  /** The node that the weight belongs to. */
  readonly node: Node;
  /** Value x [..., inFeatures], ids, or x [batch, channels, …] of a convolution. */
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
  /** Of a convolution: channels times the size of the kernel, as PEFT's lora_A has them. */
  readonly inFeatures: number;
  readonly outFeatures: number;
  /** Factor of the product: `alpha` of Gemm, or of FusedMatMul, into which onnxruntime folds a surrounding scale. */
  readonly scale?: number;
  /** Whether features are split over several dimensions of x or y, as Einsum has it. */
  readonly isSplit?: boolean;
  /** Whether the weight stands on the left: y [..., outFeatures, n] = W x [..., inFeatures, n]. */
  readonly isLeft?: boolean;
  /** Sizes of a convolution's kernel. */
  readonly kernel?: readonly number[];
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
  Gemm: gemm,
  Einsum: einsum,
  "com.microsoft:MatMulNBits": nBits,
  "com.microsoft:MatMulBnb4": nBits,
  MatMulInteger: matmulInteger,
  "com.microsoft:MatMulIntegerToFloat": (links, node) => quantised(links, node, node.inputs[0]!),
  "com.microsoft:DynamicQuantizeMatMul": (links, node) => linear(links, node, node.inputs[0]!, node.inputs[1]!, false),
  Gather: gather,
  "com.microsoft:GatherBlockQuantized": gatherBlocks,
  Conv: convolution,
  QLinearMatMul: holding(3, "computes on integers from end to end"),
  QLinearConv: holding(3, "computes on integers from end to end"),
  ConvInteger: holding(1, "computes on integers"),
  ConvTranspose: holding(1, "is a transposed convolution"),
  DeformConv: holding(1, "is a deformable convolution"),
  "com.microsoft:FusedConv": holding(1, "is a convolution fused with its activation"),
  "com.microsoft:QAttention": holding(1, "holds its projections inside, quantised"),
  "com.microsoft:Attention": holding(1, "holds its projections inside"),
  "com.microsoft:DynamicQuantizeLSTM": holding(1, "computes its products inside, step by step"),
  LSTM: holding(1, "computes its products inside, step by step"),
  GRU: holding(1, "computes its products inside, step by step"),
  RNN: holding(1, "computes its products inside, step by step"),
};

/** In a node's metadata: it computes with a part of a weight that another node stands for. */
export const PART_OF_WEIGHT = "microlora.part";

/** Finds every node of a graph that has a weight matrix, in the order of the graph, and those within its If, Loop and Scan. */
export function findSites(links: Links): { readonly sites: readonly Site[]; readonly refusals: readonly Refusal[] } {
  const sites: Site[] = [];
  const refusals: Refusal[] = [];
  for (const node of links.graph.nodes) {
    refusals.push(...insideOf(links, node));
    if (node.metadata?.[PART_OF_WEIGHT] !== undefined) continue;
    const found = RECOGNISERS[node.domain === "" ? node.op : `${node.domain}:${node.op}`]?.(links, node);
    if (found === undefined) continue;
    if (typeof found === "string") refusals.push(refusal(links, node, found));
    else if (!links.isLive(node)) refusals.push(refusal(links, node, "is not used: no output depends on it"));
    else sites.push({ last: node, ...found, node });
  }
  return { sites, refusals };
}

/** What has weights in the graphs within a node, which are run there and nowhere else. */
function insideOf(links: Links, node: Node): readonly Refusal[] {
  return Object.values(node.attributes).flatMap((attribute) => {
    if (attribute.kind !== "graph") return [];
    const inner: Graph = attribute.value;
    const { sites, refusals } = findSites(linksOf(inner, links));
    const reason = `is inside ${node.op} ${node.name || node.outputs.find(Boolean)}`;
    return [...sites, ...refusals].map(({ node: each, weight, inFeatures, outFeatures }) => ({
      ...{ node: each, weight, inFeatures, outFeatures, reason },
    }));
  });
}

function matmul(links: Links, node: Node, transposed: boolean): Match | string | undefined {
  const [x, w] = node.inputs;
  const left = weightOf(links, x!);
  if (left === undefined) return linear(links, node, x!, w!, transposed);
  if (weightOf(links, w!) !== undefined || left.dims.length !== 2) return undefined;
  if (transposed || floatOf(node.attributes, "alpha", 1) !== 1 || node.domain !== "")
    return "multiplies from the left, fused with more";
  const [outFeatures, inFeatures] = left.dims as [number, number];
  const output = node.outputs[0]!;
  return { kind: "linear", input: w!, output, weight: left.source, inFeatures, outFeatures, isLeft: true };
}

function gemm(links: Links, node: Node): Match | string | undefined {
  const left = weightOf(links, node.inputs[0]!);
  if (left !== undefined) return weightOf(links, node.inputs[1]!) ? undefined : "multiplies from the left";
  if (intOf(node, "transA", 0)) return weightOf(links, node.inputs[1]!) && "takes its input transposed";
  return matmul(links, node, intOf(node, "transB", 0) === 1);
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
    ...{ kind: "linear", input: x, output, weight: weight.source, inFeatures, outFeatures },
    ...(scale !== 1 && { scale }),
  };
}

/** A product written as Einsum: the last letters of x are those that W begins with, and those it ends with are y's last. */
function einsum(links: Links, node: Node): Match | string | undefined {
  const [x, w, more] = node.inputs;
  const weight = weightOf(links, w ?? "");
  if (weight === undefined || more !== undefined || (weight.dims.length ?? 0) < 2) return undefined;
  if (weightOf(links, x!) !== undefined) return undefined;
  const product = productTerms(stringOf(node.attributes, "equation", ""), weight.dims.length);
  if (product === undefined) return "is no plain product of matrices";
  const [inner, outer] = [weight.dims.slice(0, product.inner), weight.dims.slice(product.inner)];
  return {
    ...{ kind: "linear", input: x!, output: node.outputs[0]!, weight: weight.source },
    ...{ inFeatures: elementCount(inner), outFeatures: elementCount(outer) },
    ...(weight.dims.length > 2 && { isSplit: true }),
  };
}

function nBits(links: Links, node: Node): Match | undefined {
  const [x, w] = node.inputs;
  const [inFeatures, outFeatures] = [intOf(node, "K", 0), intOf(node, "N", 0)];
  if (links.constant(w!) === undefined || inFeatures < 1 || outFeatures < 1) return undefined;
  return { kind: "linear", input: x!, output: node.outputs[0]!, weight: w!, inFeatures, outFeatures };
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
    ...{ kind: "linear", input: quantise.inputs[0]!, output: last.outputs[0]!, last },
    ...{ weight: weight.source, inFeatures, outFeatures },
  };
}

/** Rows of a table; of a table of codes, what dequantises the rows that were fetched. */
function gather(links: Links, node: Node): Match | string | undefined {
  const [table, ids] = node.inputs;
  const weight = weightOf(links, table!);
  if (weight?.dims.length !== 2 || intOf(node, "axis", 0) !== 0 || links.constant(ids!) !== undefined) return undefined;
  if (!TABLES.has(weight.dtype)) return undefined;
  const [inFeatures, outFeatures] = [weight.dims[0]!, weight.dims[1]!];
  const found = { kind: "embedding", input: ids!, weight: weight.source, inFeatures, outFeatures } as const;
  if (!weight.areCodes) return { ...found, output: node.outputs[0]! };
  const last = dequantised(links, node);
  return typeof last === "string" || last === undefined ? last : { ...found, output: last.outputs[0]!, last };
}

const TABLES: ReadonlySet<string> = new Set(["float32", "float16", "bfloat16", "int8", "uint8", "int4", "uint4"]);

/** The node that gives the real numbers of codes that were fetched: DequantizeLinear, or Cast, minus a zero point, times a scale. */
function dequantised(links: Links, node: Node): Node | string | undefined {
  const scattered = "fetches codes that several nodes dequantise";
  const consumers = links.consumers(node.outputs[0]!);
  if (consumers.length !== 1 || links.isOutput(node.outputs[0]!)) return consumers.length > 1 ? scattered : undefined;
  const [first] = consumers as [Node];
  if (first.op === "DequantizeLinear") return first;
  if (first.op !== "Cast") return undefined;
  let last: Node | undefined;
  for (let at: Node | undefined = first; at !== undefined; ) {
    const next: readonly Node[] = links.consumers(at.outputs[0]!);
    if (next.length !== 1 || links.isOutput(at.outputs[0]!) || !["Sub", "Mul"].includes(next[0]!.op)) break;
    at = next[0]!;
    if (at.op === "Mul") last = at;
    if (last !== undefined) break;
  }
  return last ?? "fetches codes that nothing scales";
}

function gatherBlocks(links: Links, node: Node): Match | undefined {
  const scales = links.constant(node.inputs[2]!);
  if (scales?.dims.length !== 2) return undefined;
  const [inFeatures, outFeatures] = [scales.dims[0]!, scales.dims[1]! * intOf(node, "block_size", 128)];
  const weight = weightOf(links, node.inputs[0]!)?.source ?? node.inputs[0]!;
  return { kind: "embedding", input: node.inputs[1]!, output: node.outputs[0]!, weight, inFeatures, outFeatures };
}

/** An operator that has a weight and no place for an adapter. */
function holding(weight: number, reason: string): Recogniser {
  return (links, node) => (weightOf(links, node.inputs[weight] ?? "") === undefined ? undefined : reason);
}

/** LoRA of a convolution as PEFT has it: a convolution of the same kind to `rank` channels, and one of size 1 from there. */
function convolution(links: Links, node: Node): Match | string | undefined {
  const weight = weightOf(links, node.inputs[1]!);
  if (weight === undefined) return undefined;
  if (intOf(node, "group", 1) !== 1) return "is a grouped convolution";
  const [outFeatures, channels, ...kernel] = weight.dims as [number, number, ...number[]];
  const inFeatures = channels * elementCount(kernel);
  if (kernel.length === 0 || inFeatures > WIDEST) return "has a kernel that is too large";
  const output = node.outputs[0]!;
  const found = { kind: "conv", input: node.inputs[0]!, output, weight: weight.source } as const;
  return { ...found, inFeatures, outFeatures, kernel };
}

/** Inputs of a convolution that are laid side by side for an adapter, at most. */
const WIDEST = 65_536;

/** Whether a convolution looks at one place at a time, where it is. */
export function isPointwise({ node: { attributes }, kernel = [] }: Pick<Site, "node" | "kernel">): boolean {
  const every = (name: string, value: number) => (intsOf(attributes, name) ?? []).every((each) => each === value);
  return kernel.every((size) => size === 1) && every("strides", 1) && every("pads", 0);
}

function refusal(links: Links, node: Node, reason: string): Refusal {
  const weights = node.inputs
    .map((input) => weightOf(links, input))
    .filter((weight): weight is Weight => (weight?.dims.length ?? 0) > 1);
  const { source = "", dims = [] } = weights[0] ?? {};
  const [inFeatures, outFeatures] = widthsOf(node, dims);
  return { node, weight: source, inFeatures, outFeatures, reason };
}

/** Inputs and outputs of a refused weight: [out, in, …] of convolutions, [directions, gates x out, in] of recurrent layers. */
function widthsOf({ op }: Node, dims: readonly number[]): readonly [number, number] {
  if (/^(LSTM|GRU|RNN)$/.test(op)) return [dims[2] ?? 0, dims[1] ?? 0];
  return op.includes("Conv") && op !== "ConvTranspose" ? [dims[1] ?? 0, dims[0] ?? 0] : [dims[0] ?? 0, dims[1] ?? 0];
}

function onlyConsumer(links: Links, value: string, op: string): Node | undefined {
  const [consumer, ...others] = links.consumers(value);
  return consumer?.op === op && others.length === 0 && !links.isOutput(value) ? consumer : undefined;
}
