import { floatOf } from "../attributes.js";
import type { AttributeValue, GraphBuilder } from "../builder.js";
import type { Node, Shape, Tensor, TensorType } from "../ir.js";

/** What a lowering sees of its node, and what it writes with. */
export interface LoweringContext {
  readonly node: Node;
  readonly builder: GraphBuilder;
  typeOf(value: string): TensorType | undefined;
  constantOf(value: string): Tensor | undefined;
}

/**
 * Writes a node in simpler operators: the names of the new values by output, undefined for one that nobody takes. A node
 * that it does not cover throws an `unsupported-operator`.
 */
export type Lowering = (tools: Tools) => readonly (string | undefined)[];

/** Short forms for writing lowerings. */
export class Tools {
  readonly node: Node;
  readonly builder: GraphBuilder;
  readonly #context: LoweringContext;

  constructor(context: LoweringContext) {
    this.node = context.node;
    this.builder = context.builder;
    this.#context = context;
  }

  /** An input's name, "" if it is absent. */
  input(index: number): string {
    return this.node.inputs[index] ?? "";
  }

  /** Whether somebody takes an output. */
  gives(index: number): boolean {
    return (this.node.outputs[index] ?? "") !== "";
  }

  op(op: string, inputs: readonly string[], attributes: Record<string, AttributeValue> = {}): string {
    return this.builder.op(op, inputs, attributes);
  }

  ints(...values: number[]): string {
    return this.builder.ints(...values);
  }

  /** A float scalar of the type that a value has. */
  scalar(value: number, like = this.input(0)): string {
    const dtype = this.#context.typeOf(like)?.dtype ?? this.#context.constantOf(like)?.dtype;
    return this.builder.constant(dtype === "float64" ? "float64" : "float32", [value], []);
  }

  shapeOf(value: string): Shape | undefined {
    return this.#context.typeOf(value)?.shape ?? this.#context.constantOf(value)?.dims;
  }

  dtypeOf(value: string): string | undefined {
    return this.#context.typeOf(value)?.dtype ?? this.#context.constantOf(value)?.dtype;
  }

  /** A constant's tensor. */
  constantOf(value: string): Tensor | undefined {
    return this.#context.constantOf(value);
  }

  rankOf(value: string): number | undefined {
    return this.shapeOf(value)?.length;
  }

  /** A dimension if it is known; negative ones count from the end. */
  sizeOf(value: string, axis: number): number | undefined {
    const dim = this.shapeOf(value)?.at(axis);
    return typeof dim === "number" ? dim : undefined;
  }

  /** A dimension as an int64 vector of length 1. */
  dim(value: string, axis: number): string {
    const known = this.sizeOf(value, axis);
    if (known !== undefined) return this.ints(known);
    return this.op("Shape", [value], axis === -1 ? { start: -1 } : { start: axis, end: axis + 1 });
  }

  attribute(name: string, byDefault: number): number {
    return floatOf(this.node.attributes, name, byDefault);
  }

  /** a + b, where b may be absent. */
  plus(a: string, b: string): string {
    return b === "" ? a : this.op("Add", [a, b]);
  }
}

/** An attribute of floats, which numbers are not by themselves. */
export function float(value: number): AttributeValue {
  return { kind: "float", value };
}
