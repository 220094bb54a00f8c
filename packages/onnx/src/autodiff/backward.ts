import type { Model } from "../graph/ir.js";

/** What to differentiate, by whom. */
export interface BackwardRequest {
  /** dLoss/dValue by value; the loss itself is seeded with a one where only its name is given. */
  readonly seeds: ReadonlyMap<string, string> | { readonly loss: string };
  /** The values whose gradients are asked for: inputs of the graph, initializers, or anything computed. */
  readonly wrt: readonly string[];
}

/** Why a gradient is not given. */
export type NoGradient =
  /** No path along which a derivative flows leads to the loss; the gradient is zero. */
  | { readonly reason: "unreachable" }
  /** A path to the loss goes through a node that has no rule. */
  | {
      readonly reason: "cut-off";
      readonly node: string;
      readonly op: string;
      readonly domain: string;
      readonly problem: string;
    };

export interface Backward {
  /** The model with the gradients as outputs, in the order of `wrt`; contrib operators on the way are lowered. */
  readonly model: Model;
  /** The name of the output that holds a gradient, by value; float32 where the model computes in 16 bits. */
  readonly gradients: ReadonlyMap<string, string>;
  /** The values without a gradient, and why. */
  readonly missing: ReadonlyMap<string, NoGradient>;
}

/** Adds the gradients of a loss to a model. */
export declare function backward(model: Model, request: BackwardRequest): Backward;
