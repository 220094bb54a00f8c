import { type AttributeValue, GraphBuilder, tensorOf } from "../graph/builder.js";
import { toTensor } from "../graph/elements/dense.js";
import type { Dim, DType, Model, Tensor, ValueInfo } from "../graph/ir.js";
import { encodeModel } from "../graph/serde/write.js";
import { randomOf } from "./models.test-support.js";

/** Writes a small model by hand: inputs, weights that are drawn from a seed, nodes, outputs. */
export class SmallModel {
  readonly builder = new GraphBuilder("");
  readonly #inputs: ValueInfo[] = [];
  readonly #outputs: ValueInfo[] = [];
  readonly #draw: () => number;
  readonly #opset: number;

  constructor(opset = 18, seed = 7) {
    this.#opset = opset;
    this.#draw = randomOf(seed);
  }

  input(name: string, shape: readonly Dim[], dtype: DType = "float32"): string {
    this.#inputs.push({ name, type: { dtype, shape } });
    return name;
  }

  output(name: string, value: string, shape: readonly Dim[], dtype: DType = "float32"): this {
    this.builder.add({
      name: `to ${name}`,
      op: "Identity",
      domain: "",
      inputs: [value],
      outputs: [name],
      attributes: {},
    });
    this.#outputs.push({ name, type: { dtype, shape } });
    return this;
  }

  numbers(count: number): Float64Array {
    return Float64Array.from({ length: count }, () => Math.fround(2 * this.#draw()));
  }

  tensor(dtype: DType, dims: readonly number[], data: ArrayLike<number>): Tensor {
    return toTensor({ dtype, dims, data: Float64Array.from(data) })!;
  }

  constant(name: string, tensor: Tensor): string {
    this.builder.initializers.set(name, tensor);
    return name;
  }

  /** Floats of some dimensions. */
  weight(name: string, dims: readonly number[], dtype: DType = "float32"): string {
    return this.constant(name, this.tensor(dtype, dims, this.numbers(dims.reduce((a, b) => a * b, 1))));
  }

  /** A node of a path, so that its module has a name. */
  node(
    path: string,
    op: string,
    inputs: readonly string[],
    attributes: Record<string, AttributeValue> = {},
    domain = "",
  ): string {
    const value = this.builder.op(op, inputs, attributes, domain);
    const node = this.builder.nodes.pop()!;
    this.builder.add({ ...node, name: `/${path}/${op}` });
    return value;
  }

  ints(...values: number[]): string {
    return this.builder.ints(...values);
  }

  model(): Model {
    return {
      irVersion: 10,
      producer: "test",
      opsets: new Map([
        ["", this.#opset],
        ["com.microsoft", 1],
      ]),
      graph: {
        name: "small",
        nodes: this.builder.nodes,
        inputs: this.#inputs,
        outputs: this.#outputs,
        initializers: this.builder.initializers,
        types: new Map(),
      },
      functions: [],
      metadata: new Map(),
    };
  }

  bytes(): Uint8Array {
    return encodeModel(this.model());
  }
}

export { tensorOf };
