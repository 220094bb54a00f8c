import { intOf } from "../attributes.js";
import { GraphBuilder } from "../builder.js";
import { operationOf, termsOf } from "../dim.js";
import type { KnownInts } from "../infer/context.js";
import { inferGraph } from "../infer/infer.js";
import type { Dim, DType, Graph, Model, Node, Shape, Tensor } from "../ir.js";
import { sorted, valueNames } from "../verbs.js";

/**
 * The model with the integers that its shapes are computed from written anew: what is the same in every run is a constant;
 * shapes of Reshape and Expand are constants where 0, -1 or 1 can say what they mean; the rest is computed from the sizes of
 * the inputs, each expression once. onnxruntime takes seconds less to load what exporters write as thousands of nodes. With
 * types of all values.
 */
export function simplifyShapes(model: Model): Model {
  const { graph, known } = inferGraph(model.graph, model.opsets);
  const writer = new SizeWriter(graph);
  const nodes = graph.nodes.map((node) => {
    const renamed = { ...node, inputs: [...node.inputs] };
    for (const [index, name] of node.inputs.entries()) {
      const value = known.get(name);
      if (value === undefined || graph.initializers.has(name)) continue;
      const dtype = graph.types.get(name)?.dtype;
      const simple = isShapeOf(node, index) ? constantShape(node, graph, value) : undefined;
      const written = simple ? writer.constant("int64", simple, [simple.length]) : writer.write(value, dtype);
      if (written !== undefined) renamed.inputs[index] = written;
    }
    return renamed.inputs.some((name, index) => name !== node.inputs[index]) ? renamed : node;
  });
  if (nodes.every((node, index) => node === graph.nodes[index])) return { ...model, graph };
  const { nodes: added, initializers } = writer.builder;
  const { types } = inferGraph({ ...graph, nodes: added, outputs: [], initializers }, model.opsets).graph;
  return {
    ...model,
    graph: sorted({
      ...graph,
      nodes: [...nodes, ...added],
      initializers: new Map([...graph.initializers, ...initializers]),
      types: new Map([...graph.types, ...types]),
    }),
  };
}

function isShapeOf({ op, domain }: Node, input: number): boolean {
  return domain === "" && input === 1 && (op === "Reshape" || op === "Expand");
}

/** A shape for Reshape or Expand that is the same in every run, if there is one. */
function constantShape(node: Node, graph: Graph, { data }: KnownInts): number[] | undefined {
  const from = graph.types.get(node.inputs[0]!)?.shape;
  return node.op === "Reshape" ? reshapeSizes(node, from, data) : expandSizes(from, data);
}

/** 0 for a size that the input has at the same place, and -1 for at most one other. */
function reshapeSizes(node: Node, from: Shape | undefined, data: KnownInts["data"]): number[] | undefined {
  if (intOf(node.attributes, "allowzero", 0) === 1) return undefined;
  const sizes = data.map((size, axis) =>
    typeof size === "number" ? size : size !== undefined && size === from?.[axis] ? 0 : -1,
  );
  return sizes.filter((size) => size === -1).length <= 1 ? sizes : undefined;
}

/** 1 for a size that the input has already. */
function expandSizes(from: Shape | undefined, data: KnownInts["data"]): number[] | undefined {
  if (from === undefined) return undefined;
  const sizes = data.map((size, axis) => (size === from[axis - data.length + from.length] ? 1 : size));
  return sizes.every((size) => typeof size === "number") ? sizes : undefined;
}

/** Writes the nodes that compute sizes, each expression once. */
class SizeWriter {
  readonly builder: GraphBuilder;
  readonly #names: ReadonlySet<string>;
  readonly #written = new Map<string, string>();
  /** Where the size that a symbol stands for can be read: an input and its axis. */
  readonly #sources = new Map<string, readonly [input: string, axis: number]>();

  constructor(graph: Graph) {
    this.#names = valueNames(graph);
    this.builder = new GraphBuilder("sizes/", (name) => this.#names.has(name));
    for (const { name, type } of graph.inputs) {
      for (const [axis, dim] of type?.shape?.entries() ?? []) {
        if (typeof dim === "string" && !this.#sources.has(dim)) this.#sources.set(dim, [name, axis]);
      }
    }
  }

  /** The integers as a value of the graph; undefined if they depend on more than the sizes of the inputs. */
  write({ dims, data }: KnownInts, dtype: DType | undefined): string | undefined {
    if (dtype !== "int64" && dtype !== "int32" && dtype !== "bool") return undefined;
    if (data.every((each) => typeof each === "number")) return this.constant(dtype, data, dims);
    if (dtype === "bool" || dims.length > 1 || !data.every((each) => each !== undefined && this.#isWritable(each)))
      return undefined;
    return this.#once(`${dtype} ${dims.length} ${data.join("; ")}`, () => {
      const vector = this.#vector(data as readonly Dim[]);
      const shaped = dims.length === 1 ? vector : this.builder.op("Reshape", [vector, this.constant("int64", [], [0])]);
      return dtype === "int64" ? shaped : this.builder.cast(shaped, "int32");
    });
  }

  constant(dtype: "int64" | "int32" | "bool", values: readonly number[], dims: readonly number[]): string {
    if (dtype !== "int32") return this.builder.constant(dtype, values, [...dims]);
    return this.#once(`int32 ${dims.join("x")} ${values.join()}`, () => {
      const name = this.builder.fresh(dtype);
      this.builder.initializers.set(name, int32s(values, dims));
      return name;
    });
  }

  /** Sizes side by side. */
  #vector(data: readonly Dim[]): string {
    const parts = data.map((each) => this.#size(each));
    return parts.length === 1 ? parts[0]! : this.builder.op("Concat", parts, { axis: 0 });
  }

  /** One size, as a vector of one element. */
  #size(dim: Dim): string {
    if (typeof dim === "number") return this.builder.ints(dim);
    return this.#once(`size ${dim}`, () => {
      const terms = termsOf(dim).map(({ coefficient, atoms }) => {
        const factors = [
          ...atoms.map((atom) => this.#atom(atom)),
          ...(coefficient === 1 && atoms.length > 0 ? [] : [this.builder.ints(coefficient)]),
        ];
        return factors.reduce((a, b) => this.builder.op("Mul", [a, b]));
      });
      return terms.reduce((a, b) => this.builder.op("Add", [a, b]));
    });
  }

  #atom(atom: string): string {
    return this.#once(`size ${atom}`, () => {
      const operation = operationOf(atom);
      if (operation !== undefined) {
        return this.builder.op(
          OPERATORS[operation.name]!,
          operation.operands.map((operand) => this.#size(operand)),
        );
      }
      const [input, axis] = this.#sources.get(atom)!;
      const shape = this.#once(`shape ${input}`, () => this.builder.op("Shape", [input]));
      return this.builder.op("Gather", [shape, this.builder.ints(axis)], { axis: 0 });
    });
  }

  #isWritable(dim: Dim): boolean {
    if (typeof dim === "number") return Number.isSafeInteger(dim);
    return termsOf(dim).every(({ atoms }) => atoms.every((atom) => this.#isReadable(atom)));
  }

  #isReadable(atom: string): boolean {
    const operation = operationOf(atom);
    if (operation === undefined) return this.#sources.has(atom);
    return Object.hasOwn(OPERATORS, operation.name) && operation.operands.every((each) => this.#isWritable(each));
  }

  #once(key: string, write: () => string): string {
    const known = this.#written.get(key);
    if (known !== undefined) return known;
    const name = write();
    this.#written.set(key, name);
    return name;
  }
}

/** The operators whose result is not a polynomial. */
const OPERATORS: { readonly [name: string]: string } = { div: "Div", max: "Max", min: "Min", mod: "Mod" };

function int32s(values: readonly number[], dims: readonly number[]): Tensor {
  return { dtype: "int32", dims, data: { kind: "bytes", bytes: new Uint8Array(Int32Array.from(values).buffer) } };
}
