import type { GraphBuilder } from "../graph/builder.js";
import type { Node, Tensor, TensorType } from "../graph/ir.js";

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
  /** A value that is the same in every run, undefined if it is computed or fed. */
  constantOf(value: string): Tensor | undefined;
  /** The name of an output of the forward node, which the node is made to give if it did not. */
  output(index: number): string;
}

/**
 * A vector-Jacobian product: the names of dLoss/dInput by input, undefined where the input is not wanted or has no
 * gradient. Gradients have their value's shape and type. A rule that cannot be written for this node (an attribute that
 * it does not know, a shape that it needs) throws an `unsupported-operator`, which cuts off what is below the node.
 */
export type Vjp = (context: VjpContext) => readonly (string | undefined)[];

/**
 * A row of the table of derivatives: the rule; `null` where the gradient is zero or undefined by definition, so that
 * nothing flows through; "unsupported" where there is a gradient and no rule, so that what is below is cut off.
 */
export type VjpRow = Vjp | null | "unsupported";
