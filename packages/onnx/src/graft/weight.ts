import type { DType } from "../graph/ir.js";
import type { Links } from "./links.js";

/** A constant matrix as a node sees it, and where it comes from. */
export interface Weight {
  /** As seen by the node, after every transposition on the way. */
  readonly dims: readonly number[];
  /** The initializer, or the output of the `Constant` node, that holds the elements. */
  readonly source: string;
  /** How the elements are stored. */
  readonly dtype: DType;
}

/** Operators that hand a weight on as it is, or in another precision. */
const TRANSPARENT: ReadonlySet<string> = new Set(["Identity", "Cast", "DequantizeLinear", "QuantizeLinear"]);

/** Operators by which integers become weights without DequantizeLinear: `(Cast(codes) - zero) * scale`. */
const SCALING: ReadonlySet<string> = new Set(["Mul", "Sub", "Add", "Div"]);

/** The larger of two constants, whose shape the result has. */
function scaled(links: Links, inputs: readonly string[]): Weight | undefined {
  const [a, b] = inputs.map((input) => weightOf(links, input));
  if (a === undefined || b === undefined) return undefined;
  const sizeOf = ({ dims }: Weight) => dims.reduce((size, dim) => size * dim, 1);
  return sizeOf(a) >= sizeOf(b) ? a : b;
}

/** The weight behind a value: a constant, itself or transposed, cast or dequantised; undefined if it is anything else. */
export function weightOf(links: Links, value: string): Weight | undefined {
  const tensor = links.constant(value);
  if (tensor !== undefined) return { dims: tensor.dims, source: value, dtype: tensor.dtype };
  const node = links.producer(value);
  if (node === undefined) return undefined;
  if (TRANSPARENT.has(node.op)) return weightOf(links, node.inputs[0]!);
  if (SCALING.has(node.op)) return scaled(links, node.inputs);
  if (node.op !== "Transpose") return undefined;
  const weight = weightOf(links, node.inputs[0]!);
  const perm = node.attributes.perm;
  const order = perm?.kind === "ints" ? perm.value : weight?.dims.map((_, axis) => -1 - axis);
  return weight && { ...weight, dims: order!.map((axis) => weight.dims.at(axis)!) };
}
