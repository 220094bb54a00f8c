import type { Model, Node } from "../graph/ir.js";
import { lower, lowerPrecision } from "../graph/passes/lower.js";
import { raiseOpset } from "../graph/passes/raise-opset.js";
import { widen } from "../graph/passes/widen.js";
import { reach } from "./reach.js";

export interface Prepared {
  readonly model: Model;
  /** Nodes on the path whose lowering was refused, and why. */
  readonly refused: ReadonlyMap<Node, string>;
}

/**
 * The model as derivatives are written for: opset 21 or later, float32 where it was 16 bits, activations not rounded, and
 * the fused operators between `wrt` and the loss in simpler ones. Others keep their kernels.
 */
export function prepare(model: Model, wrt: readonly string[], ends: readonly string[]): Prepared {
  const plain = lowerPrecision(widen(raiseOpset(model)).model);
  const path = new Set(reach(plain.graph, wrt, ends).nodes);
  const { model: lowered, refused } = lower(plain, (node) => path.has(node));
  return { model: lowered, refused };
}
