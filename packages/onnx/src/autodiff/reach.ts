import type { DType, Graph, Node } from "../graph/ir.js";
import { usesOf } from "../graph/order.js";
import { rowOf } from "./table.js";

/** Element types along which a derivative flows. */
const FLOATS: ReadonlySet<DType> = new Set(["float16", "bfloat16", "float32", "float64"]);

/** Operators whose first output holds the codes of a real number: its gradient is that with respect to the code. */
const QUANTIZING = new Set([
  "QuantizeLinear",
  "DynamicQuantizeLinear",
  "QLinearMatMul",
  "MatMulInteger",
  "ConvInteger",
  "QLinearConv",
]);

/** Operators of whose outputs only the first carries a derivative; scales count as constants (straight-through). */
const FIRST_ONLY = new Set(["DynamicQuantizeLinear", "TopK", "Dropout", "MaxPool"]);

/** Operators that hand codes on as they are. */
const MOVES = new Set([
  ...["Identity", "Reshape", "Transpose", "Slice", "Concat", "Split", "Squeeze", "Unsqueeze", "Flatten", "Gather"],
  ...["Expand", "Tile", "Add", "Where"],
]);

/** The part of a graph between some values and the loss. */
export interface Reach {
  /** Nodes on a path, in the graph's order. */
  readonly nodes: readonly Node[];
  /** Values on a path. */
  readonly values: ReadonlySet<string>;
}

/** Everything on a path along which a derivative flows from `from` to `to`; nodes without a rule are passed through. */
export function reach(graph: Graph, from: Iterable<string>, to: Iterable<string>): Reach {
  const active = new Set(from);
  const codes = new Set<string>();
  const flows = (node: Node, output: string, index: number): boolean => {
    if (output === "" || (index > 0 && FIRST_ONLY.has(node.op))) return false;
    const dtype = graph.types.get(output)?.dtype;
    if (dtype === undefined || FLOATS.has(dtype)) return true;
    const areCodes = QUANTIZING.has(node.op) || (MOVES.has(node.op) && node.inputs.some((input) => codes.has(input)));
    if (areCodes) codes.add(output);
    return areCodes;
  };
  const forward = graph.nodes.filter((node) => {
    if (rowOf(node) === null || ![...usesOf(node)].some((input) => active.has(input))) return false;
    for (const [i, output] of node.outputs.entries()) if (flows(node, output, i)) active.add(output);
    return true;
  });

  const values = new Set([...to].filter((value) => active.has(value)));
  const nodes = forward.reverse().filter((node) => {
    if (!node.outputs.some((output) => values.has(output))) return false;
    for (const input of usesOf(node)) if (active.has(input)) values.add(input);
    return true;
  });
  return { nodes: nodes.reverse(), values };
}
