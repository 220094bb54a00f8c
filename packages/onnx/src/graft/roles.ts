import type { Node } from "../graph/ir.js";
import type { Links } from "./links.js";
import type { Site } from "./sites.js";

/** The role of a projection in a transformer, by its usual name. */
export type Role =
  | "q_proj"
  | "k_proj"
  | "v_proj"
  | "qkv_proj"
  | "kv_proj"
  | "o_proj"
  | "gate_proj"
  | "up_proj"
  | "gate_up_proj"
  | "down_proj"
  | "lm_head"
  | "embed";

/** What the flow from a value meets first: a slot of an attention, an activation, a product, a sum, another weight, the end. */
type Landmark = "q" | "k" | "v" | "activation" | "product" | "sum" | "weight" | "output";

/** Whether a node is the site of a weight. */
export type IsWeight = (node: Node) => boolean;

/** Operators that rearrange, scale or normalise what flows through them, rotary embedding and its parts among them. */
const PASSING: ReadonlySet<string> = new Set(
  (
    "Reshape Transpose Squeeze Unsqueeze Split Slice Concat Expand Identity Cast Add Sub Neg Mul Div Gather RotaryEmbedding " +
    "LayerNormalization SimplifiedLayerNormalization RMSNormalization SkipLayerNormalization Pow ReduceMean Sqrt Reciprocal " +
    "SkipSimplifiedLayerNormalization BiasAdd QuantizeLinear DequantizeLinear Clip ScatterND ScatterElements"
  ).split(" "),
);

const ACTIVATIONS: ReadonlySet<string> = new Set(
  "Sigmoid Tanh Erf Relu Gelu FastGelu BiasGelu QuickGelu Silu Swish HardSwish Elu LeakyRelu Softplus Mish HardSigmoid".split(
    " ",
  ),
);

/** Attention in one node: which input takes what. */
const ATTENTIONS: ReadonlySet<string> = new Set([
  "GroupQueryAttention",
  "MultiHeadAttention",
  "Attention",
  "SparseAttention",
  "DecoderMaskedMultiHeadAttention",
]);
const SLOTS = ["q", "k", "v"] as const;

/** The role of each site, by the flow of data around it: the last resort where names were lost, and an alias elsewhere. */
export function roleOf(links: Links, site: Site, isWeight: IsWeight): Role | undefined {
  if (site.kind === "embedding") return "embed";
  if (site.kind === "conv") return undefined;
  const met = ahead(links, site.output, isWeight);
  const slots = SLOTS.filter((slot) => met.has(slot));
  if (slots.length > 0) return slots.length === 1 ? `${slots[0]!}_proj` : slots.includes("q") ? "qkv_proj" : "kv_proj";
  // An output layer may cap its scores (Gemma 2); a pooler has an activation too, but does not widen.
  const isCapped = met.has("activation") && site.outFeatures <= site.inFeatures;
  if (met.has("output") && !met.has("weight") && !isCapped) return met.has("sum") ? "down_proj" : "lm_head";
  if (met.has("activation")) return met.has("product") ? "gate_proj" : met.has("split") ? "gate_up_proj" : "up_proj";
  if (met.has("product") && met.has("weight") && !isResidual(links, site)) return "up_proj";
  const behind = before(links, site.input, isWeight);
  if (behind === "attention") return "o_proj";
  return behind === "activation" ? "down_proj" : undefined;
}

/** The roles of the projections that a part of a packed one stands for. */
export function rolesAhead(links: Links, value: string, isWeight: IsWeight): readonly Role[] {
  const met = ahead(links, value, isWeight);
  const slots = SLOTS.filter((slot) => met.has(slot));
  if (slots.length > 0) return slots.map((slot) => `${slot}_proj` as const);
  if (met.has("activation")) return ["gate_proj"];
  return met.has("weight") ? ["up_proj"] : [];
}

function isResidual(links: Links, site: Site): boolean {
  return links.consumers(site.output).some((node) => isSum(links, node));
}

/** Whether a node adds two values, as the end of a residual branch does; a bias is none. */
function isSum(links: Links, { op, inputs }: Node): boolean {
  return op.startsWith("Skip") || (op === "Add" && inputs.every((input) => links.constant(input) === undefined));
}

/** Walks forward from a value up to the first landmarks. */
function ahead(links: Links, start: string, isWeight: IsWeight): ReadonlySet<Landmark | "split"> {
  const met = new Set<Landmark | "split">();
  const seen = new Set<string>();
  const queue = [start];
  for (let value = queue.pop(); value !== undefined; value = queue.pop()) {
    if (seen.has(value)) continue;
    seen.add(value);
    if (links.isOutput(value)) met.add("output");
    for (const node of links.consumers(value)) {
      const landmark = landmarkOf(links, node, value, isWeight);
      if (landmark !== undefined) for (const slot of landmark) met.add(slot);
      if (node.op === "Split" || node.op === "Slice") met.add("split");
      if (isSum(links, node)) met.add("sum");
      const passes = landmark === undefined ? PASSING.has(node.op) : node.op === "Mul" || ACTIVATIONS.has(node.op);
      if (passes) queue.push(...node.outputs.filter(Boolean));
    }
  }
  return met;
}

function landmarkOf(links: Links, node: Node, value: string, isWeight: IsWeight): readonly Landmark[] | undefined {
  if (isWeight(node) || node.op === "DynamicQuantizeLinear") return ["weight"];
  if (ACTIVATIONS.has(node.op)) return ["activation"];
  if (ATTENTIONS.has(node.op)) return attentionSlots(node, value);
  if (node.op === "MatMul" || node.op === "FusedMatMul" || node.op === "Einsum")
    return slotOfProduct(links, node, value);
  if (NORMALISING.has(node.op)) return isEnd(links, node, isWeight) ? ["output"] : [];
  return isProduct(links, node, isWeight) ? ["product"] : undefined;
}

/** What turns scores into probabilities or a choice. */
const NORMALISING: ReadonlySet<string> = new Set(["Softmax", "LogSoftmax", "Hardmax", "ArgMax", "TopK"]);

/** Whether nothing but the outputs of the graph depends on what scores become: no product, as behind attention's, and no weight. */
function isEnd(links: Links, start: Node, isWeight: IsWeight): boolean {
  const queue = [...start.outputs];
  const seen = new Set<string>();
  let isOut = false;
  for (let value = queue.pop(); value !== undefined && seen.size < 64; value = queue.pop()) {
    if (value === "" || seen.has(value)) continue;
    seen.add(value);
    isOut ||= links.isOutput(value);
    for (const node of links.consumers(value)) {
      if (isWeight(node) || /MatMul|Gemm|Einsum|Conv|Attention/.test(node.op)) return false;
      queue.push(...node.outputs);
    }
  }
  return isOut;
}

/** A node that takes Q, K and V apart by itself has them all in its first input. */
function attentionSlots(node: Node, value: string): readonly Landmark[] {
  const slots = SLOTS.filter((_, slot) => node.inputs[slot] === value);
  const packed = slots.includes("q") && !node.inputs[1];
  return packed ? SLOTS : slots;
}

/** Q and K meet before the softmax, V after it. */
function slotOfProduct(links: Links, node: Node, value: string): readonly Landmark[] {
  const other = node.inputs[0] === value ? node.inputs[1]! : node.inputs[0]!;
  if (comesFromSoftmax(links, other)) return ["v"];
  if (!leadsToSoftmax(links, node.outputs[0]!)) return [];
  return node.inputs[0] === value ? ["q"] : ["k"];
}

function leadsToSoftmax(links: Links, start: string): boolean {
  const queue = [start];
  for (let value = queue.shift(), steps = 0; value !== undefined && steps < 24; value = queue.shift(), steps++) {
    for (const node of links.consumers(value)) {
      if (node.op === "Softmax") return true;
      if (!node.op.endsWith("MatMul")) queue.push(node.outputs[0]!);
    }
  }
  return false;
}

function comesFromSoftmax(links: Links, value: string): boolean {
  for (let node = links.producer(value), steps = 0; node !== undefined && steps < 6; steps++) {
    if (node.op === "Softmax") return true;
    const input: string | undefined = node.op === "Where" ? node.inputs[2] : node.inputs[0];
    if (!["Where", "Cast", "Dropout", "Identity", "Mul", "Reshape", "Slice"].includes(node.op)) return false;
    node = links.producer(input!);
  }
  return false;
}

/** What was found of the products of a graph, each of which several projections meet. */
const products = new WeakMap<Links, Map<Node, boolean>>();

/** Whether a product multiplies the outputs of two projections, rather than one with its own scale or activation. */
function isProduct(links: Links, node: Node, isWeight: IsWeight): boolean {
  if (node.op !== "Mul") return false;
  const known = products.get(links) ?? new Map<Node, boolean>();
  products.set(links, known);
  const found = known.get(node) ?? haveOwnWeights(links, node, isWeight);
  known.set(node, found);
  return found;
}

/** Whether each factor has weights behind it, and not the same ones. */
function haveOwnWeights(links: Links, { inputs }: Node, isWeight: IsWeight): boolean {
  const [left, right] = inputs.map((input) => weightsBehind(links, input, isWeight)) as [Set<Node>, Set<Node>];
  if (left.size === 0 || right.size === 0) return false;
  return left.size !== right.size || [...left].some((weight) => !right.has(weight));
}

/** The weights that act nearest behind a value. */
function weightsBehind(links: Links, start: string, isWeight: IsWeight): Set<Node> {
  const found = new Set<Node>();
  const seen = new Set<string>();
  const queue = [start];
  for (let value = queue.pop(); value !== undefined && seen.size < 256; value = queue.pop()) {
    const node = seen.has(value) ? undefined : links.producer(value);
    seen.add(value);
    if (node === undefined || node.op === "Shape") continue;
    if (isWeight(node)) found.add(node);
    else queue.push(...node.inputs.filter(Boolean));
  }
  return found;
}

/** Walks back from the input of a projection to what made it. */
function before(links: Links, start: string, isWeight: IsWeight): "attention" | "activation" | undefined {
  const queue = [start];
  const seen = new Set<string>();
  for (let value = queue.shift(); value !== undefined && seen.size < 64; value = queue.shift()) {
    if (seen.has(value)) continue;
    seen.add(value);
    const node = links.producer(value);
    if (node === undefined || isWeight(node) || node.op === "LayerNormalization") continue;
    if (ATTENTIONS.has(node.op)) return "attention";
    if ((node.op === "MatMul" || node.op === "Einsum") && node.inputs.some((input) => comesFromSoftmax(links, input))) {
      return "attention";
    }
    if (ACTIVATIONS.has(node.op)) return "activation";
    queue.push(
      ...(node.op === "Reshape" || node.op === "Slice" ? node.inputs.slice(0, 1) : node.inputs).filter(Boolean),
    );
  }
  return undefined;
}
