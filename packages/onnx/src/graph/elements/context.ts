import { OnnxError } from "../../base/errors.js";
import type { Node } from "../ir.js";
import { describe } from "../order.js";
import type { Dense } from "./dense.js";

/** A node as an evaluator sees it. */
export class EvaluationContext {
  readonly node: Node;
  readonly inputs: readonly (Dense | undefined)[];
  /** Version of the node's operator set. */
  readonly opset: number;

  constructor(node: Node, inputs: readonly (Dense | undefined)[], opset: number) {
    this.node = node;
    this.inputs = inputs;
    this.opset = opset;
  }

  /** An input that the operator cannot do without. */
  input(index: number): Dense {
    const dense = this.inputs[index];
    if (dense !== undefined) return dense;
    throw new OnnxError("invalid-graph", describe(this.node), `input ${index} is missing`, "Export the model again");
  }

  /** Integers that older versions of an operator have as an attribute, newer ones as an input. */
  ints(index: number, attribute: string): number[] | undefined {
    const input = this.inputs[index];
    if (input !== undefined) return [...input.data];
    const value = this.node.attributes[attribute];
    return value?.kind === "ints" ? [...value.value] : undefined;
  }
}

/** The outputs of a node for given inputs. */
export type Evaluator = (context: EvaluationContext) => readonly Dense[];
