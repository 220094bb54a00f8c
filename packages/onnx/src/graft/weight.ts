import { numbersOf } from "../graph/constants.js";
import { elementCount } from "../graph/dtype.js";
import type { DType, Node } from "../graph/ir.js";
import type { Links } from "./links.js";

/** A constant as a node sees it, and where it comes from. */
export interface Weight {
  /** As seen by the node, after every transposition and reshape on the way. */
  readonly dims: readonly number[];
  /** The initializer, or the output of the `Constant` node, that holds the elements. */
  readonly source: string;
  /** How the elements are stored. */
  readonly dtype: DType;
  /** Whether the node sees codes that nothing has dequantised. */
  readonly areCodes: boolean;
}

/** Operators that hand a weight on as it is, or in another precision. */
const TRANSPARENT: ReadonlySet<string> = new Set([
  "Identity",
  "Cast",
  "CastLike",
  "DequantizeLinear",
  "QuantizeLinear",
]);

/** Operators by which integers become weights without DequantizeLinear: `(Cast(codes) - zero) * scale`. */
const SCALING: ReadonlySet<string> = new Set(["Mul", "Sub", "Add", "Div"]);

/** Operators that give the same elements in another shape. */
const RESHAPING: ReadonlySet<string> = new Set(["Reshape", "Squeeze", "Unsqueeze", "Flatten"]);

const CODES: ReadonlySet<DType> = new Set(["int8", "uint8", "int4", "uint4", "int2", "uint2", "int16", "uint16"]);

/** Whether a node only hands weights on. */
export function isOnTheWay({ op, domain }: Node): boolean {
  return domain === "" && (TRANSPARENT.has(op) || SCALING.has(op) || RESHAPING.has(op) || op === "Transpose");
}

/** The larger of two constants, whose shape the result has. */
function scaled(links: Links, inputs: readonly string[]): Weight | undefined {
  const [a, b] = inputs.map((input) => weightOf(links, input));
  if (a === undefined || b === undefined) return undefined;
  return elementCount(a.dims) >= elementCount(b.dims) ? a : b;
}

/** What was found behind the values of a graph: paths that part and meet again would be walked once for each way. */
const FOUND = new WeakMap<Links, Map<string, Weight | undefined>>();

/** The weight behind a value: a constant, itself or transposed, reshaped, cast or dequantised; undefined if it is anything else. */
export function weightOf(links: Links, value: string): Weight | undefined {
  const found = FOUND.get(links) ?? new Map<string, Weight | undefined>();
  FOUND.set(links, found);
  if (!found.has(value)) found.set(value, behind(links, value));
  return found.get(value);
}

function behind(links: Links, value: string): Weight | undefined {
  const tensor = links.constant(value);
  if (tensor !== undefined)
    return { dims: tensor.dims, source: value, dtype: tensor.dtype, areCodes: CODES.has(tensor.dtype) };
  const node = links.producer(value);
  if (node === undefined || node.domain !== "") return undefined;
  if (TRANSPARENT.has(node.op)) {
    const weight = weightOf(links, node.inputs[0]!);
    return (
      weight && { ...weight, areCodes: node.op === "QuantizeLinear" || (node.op === "Identity" && weight.areCodes) }
    );
  }
  if (SCALING.has(node.op)) {
    const weight = scaled(links, node.inputs);
    return weight && { ...weight, areCodes: false };
  }
  const weight = weightOf(links, node.inputs[0] ?? "");
  if (weight === undefined) return undefined;
  if (RESHAPING.has(node.op)) return reshaped(links, node, weight);
  if (node.op !== "Transpose") return undefined;
  const perm = node.attributes.perm;
  const order = perm?.kind === "ints" ? perm.value : weight.dims.map((_, axis) => -1 - axis);
  return { ...weight, dims: order.map((axis) => weight.dims.at(axis)!) };
}

function reshaped(links: Links, node: Node, weight: Weight): Weight | undefined {
  const dims = node.op === "Reshape" ? sizesOf(links, node, weight.dims) : links.shapeOf?.(node.outputs[0]!);
  return dims && elementCount(dims) === elementCount(weight.dims) ? { ...weight, dims } : undefined;
}

function sizesOf(links: Links, { inputs }: Node, from: readonly number[]): readonly number[] | undefined {
  const wanted = numbersOf(links.constant(inputs[1] ?? ""));
  const sizes = wanted?.map((size, axis) => (size === 0 ? (from[axis] ?? 0) : size));
  if (sizes === undefined) return undefined;
  const rest = elementCount(sizes.filter((size) => size !== -1));
  return sizes.map((size) => (size === -1 ? elementCount(from) / rest : size));
}
