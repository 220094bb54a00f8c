import { TYPE_CODES } from "./dtype.js";
import type { Attribute, Attributes, DType, Node, Tensor } from "./ir.js";

/** An attribute as callers give it: integers and lists of them, unless `float` or `floats` says otherwise. */
export type AttributeValue = number | string | readonly number[] | Attribute;

/**
 * Collects new nodes and constants with fresh names. Derivatives, losses, lowerings and grafts all write graphs through
 * this, and `verbs.ts` puts the result into a graph.
 */
export class GraphBuilder {
  /** Nodes added so far. */
  readonly nodes: Node[] = [];
  /** Constants added so far, by name. */
  readonly initializers = new Map<string, Tensor>();
  readonly #prefix: string;
  readonly #isTaken: (name: string) => boolean;
  readonly #constants = new Map<string, string>();
  #next = 0;

  /**
   * @param prefix of every fresh name
   * @param isTaken whether the graph that the nodes go into has a value of this name already
   */
  constructor(prefix: string, isTaken: (name: string) => boolean = () => false) {
    this.#prefix = prefix;
    this.#isTaken = isTaken;
  }

  /** A name that no value has yet. */
  fresh(hint: string): string {
    for (;;) {
      const name = `${this.#prefix}${hint}_${this.#next++}`;
      if (!this.#isTaken(name)) return name;
    }
  }

  /** Adds a node with one output, and returns the name of that. @param domain "" for the standard operators */
  op(op: string, inputs: readonly string[], attributes: Record<string, AttributeValue> = {}, domain = ""): string {
    return this.ops(op, inputs, 1, attributes, domain)[0]!;
  }

  /** A value in another element type. */
  cast(value: string, dtype: keyof typeof TYPE_CODES): string {
    return this.op("Cast", [value], { to: TYPE_CODES[dtype] });
  }

  /** Adds a node with several outputs, and returns their names. */
  ops(
    op: string,
    inputs: readonly string[],
    outputs: number,
    attributes: Record<string, AttributeValue> = {},
    domain = "",
  ): string[] {
    const names = Array.from({ length: outputs }, () => this.fresh(op));
    this.add({ name: names[0]!, op, domain, inputs, outputs: names, attributes: toAttributes(attributes) });
    return names;
  }

  /** Adds a node as it is. */
  add(node: Node): void {
    this.nodes.push(node);
  }

  /** A constant tensor; one initializer for the same elements. @param dims [] for a scalar; [values.length] by default */
  constant(dtype: "float32" | "int64" | "float64" | "bool", values: readonly number[], dims = [values.length]): string {
    const key = `${dtype} ${dims.join("x")} ${values.map((value) => (Object.is(value, -0) ? "-0" : value)).join()}`;
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const name = this.fresh(dtype);
    this.initializers.set(name, tensorOf(dtype, values, dims));
    this.#constants.set(key, name);
    return name;
  }

  /** A constant [values.length] of int64, as shapes, axes and sizes are given. */
  ints(...values: number[]): string {
    return this.constant("int64", values);
  }

  /** A float32 scalar constant. */
  scalar(value: number): string {
    return this.constant("float32", [value], []);
  }
}

/** Plain values as attributes: integers and lists of them as int and ints. */
export function toAttributes(values: Readonly<Record<string, AttributeValue>>): Attributes {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, toAttribute(value)]));
}

function toAttribute(value: AttributeValue): Attribute {
  if (typeof value === "number") return { kind: "int", value };
  if (typeof value === "string") return { kind: "string", value };
  return "kind" in value ? value : { kind: "ints", value };
}

const ARRAYS = {
  float32: (values: readonly number[]) => Float32Array.from(values),
  float64: (values: readonly number[]) => Float64Array.from(values),
  int64: (values: readonly number[]) => BigInt64Array.from(values, BigInt),
  bool: (values: readonly number[]) => Uint8Array.from(values),
} as const satisfies Partial<Record<DType, (values: readonly number[]) => ArrayBufferView>>;

/** A tensor of plain numbers. */
export function tensorOf(dtype: keyof typeof ARRAYS, values: readonly number[], dims: readonly number[]): Tensor {
  const { buffer } = ARRAYS[dtype](values);
  return { dtype, dims, data: { kind: "bytes", bytes: new Uint8Array(buffer) } };
}
