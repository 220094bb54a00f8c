import type { GraphBuilder } from "../graph/builder.js";
import type { Node, TensorType } from "../graph/ir.js";

/** What a derivative rule sees of its node, and what it writes with. */
export interface VjpContext {
  readonly node: Node;
  /** The gradient's nodes go here; forward values can be used by name. */
  readonly builder: GraphBuilder;
  /** dLoss/dOutput by output, undefined for an output that the loss does not depend on; never all undefined. */
  readonly gradients: readonly (string | undefined)[];
  /** Whether the loss's gradient with respect to an input is asked for; a rule may leave the others out. */
  wanted(input: number): boolean;
  /** What inference knows of a value; a rule must also be right where a shape is unknown, by asking at run time. */
  typeOf(value: string): TensorType | undefined;
}

/**
 * A vector-Jacobian product: the names of dLoss/dInput by input, undefined where the input is not wanted or has no
 * gradient. Gradients have their value's shape and type.
 */
export type Vjp = (context: VjpContext) => readonly (string | undefined)[];
