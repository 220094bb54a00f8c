import type { Node } from "../ir.js";
import { unsupported } from "../unsupported.js";
import { where } from "./combine.js";
import { EvaluationContext, type Evaluator } from "./context.js";
import type { Dense } from "./dense.js";
import { gather } from "./gather.js";
import * as layout from "./layout.js";

/** Operators that move elements of their inputs and change none. */
export const MOVEMENTS = {
  Concat: layout.concat,
  Expand: layout.expand,
  Flatten: layout.flatten,
  Gather: gather,
  Identity: (context) => [context.input(0)],
  Reshape: layout.reshape,
  Slice: layout.slice,
  Split: layout.split,
  Squeeze: layout.squeeze,
  Tile: layout.tile,
  Transpose: layout.transpose,
  Unsqueeze: layout.unsqueeze,
  Where: where,
} as const satisfies { readonly [op: string]: Evaluator };

/**
 * The outputs of a node that moves elements.
 *
 * @throws OnnxError `unsupported-operator` for another one, `shape-mismatch` or `out-of-range` if the inputs do not fit
 */
export function moveElements(node: Node, inputs: readonly (Dense | undefined)[], opset: number): readonly Dense[] {
  const movements: { readonly [op: string]: Evaluator } = MOVEMENTS;
  const movement = node.domain === "" && Object.hasOwn(movements, node.op) ? movements[node.op] : undefined;
  if (movement === undefined) throw unsupported(node, "it does not move elements");
  return movement(new EvaluationContext(node, inputs, opset));
}
