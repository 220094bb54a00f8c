import { GraphBuilder } from "../builder.js";
import type { Graph, Model, Node, Tensor } from "../ir.js";
import { consumersOf, producersOf, replaceUses, valueNames } from "../verbs.js";

/**
 * Products with a weight and the biases behind them, or behind the adapter of such a product, as one Gemm over all rows:
 * onnxruntime goes once more through the product to add a bias, where Gemm starts from it at no cost. Results differ in their
 * last bits.
 *
 * @param model with types
 */
export function joinBiases(model: Model): Model {
  const { graph } = model;
  const names = valueNames(graph);
  const builder = new GraphBuilder("joined/", (name) => names.has(name));
  const biased = biasedProducts(graph);
  const sums = new Map([...biased.values()].map(({ sum, value }) => [sum, value]));
  const nodes = graph.nodes.flatMap((node) => {
    const found = biased.get(node);
    return found ? gemmOf(node, found, builder) : sums.has(node) ? [] : [node];
  });
  const initializers = new Map([...graph.initializers, ...builder.initializers]);
  const replacements = new Map([...sums].map(([{ outputs }, value]) => [outputs[0]!, value]));
  return { ...model, graph: replaceUses({ ...graph, nodes, initializers }, replacements) };
}

interface Biased {
  readonly bias: string;
  /** The Add of the bias, and what it is added to. */
  readonly sum: Node;
  readonly value: string;
  /** The weight's. */
  readonly dims: readonly number[];
}

/** By product. */
function biasedProducts(graph: Graph): ReadonlyMap<Node, Biased> {
  const producers = producersOf(graph);
  const consumers = consumersOf(graph);
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  /** The node that makes a value for one other node alone. */
  const makerOf = (value: string | undefined) =>
    value && consumers.get(value)?.length === 1 && !outputs.has(value) ? producers.get(value) : undefined;
  const found = new Map<Node, Biased>();
  for (const sum of graph.nodes.filter(isAdd)) {
    const bias = sum.inputs.find((input) => floats(graph.initializers.get(input), 1));
    const value = sum.inputs.find((input) => input !== bias);
    const maker = makerOf(value);
    if (bias === undefined || value === undefined || maker === undefined) continue;
    const [left, right] = isAdd(maker) ? maker.inputs : [];
    const makers = [maker, ...(left === right ? [] : [makerOf(left), makerOf(right)])];
    const width = graph.initializers.get(bias)!.dims[0];
    const product = makers.find((each) => each && !found.has(each) && weightDims(graph, each)?.[1] === width);
    if (product !== undefined) found.set(product, { bias, sum, value, dims: weightDims(graph, product)! });
  }
  return found;
}

function isAdd({ op, domain }: Node): boolean {
  return op === "Add" && domain === "";
}

/** The sizes of the weight in a product of more than two dimensions; Gemm itself has two, and onnxruntime joins those. */
function weightDims({ initializers, types }: Graph, { op, domain, inputs }: Node): readonly number[] | undefined {
  const rank = types.get(inputs[0]!)?.shape?.length ?? 0;
  return op === "MatMul" && domain === "" && rank > 2 ? floats(initializers.get(inputs[1]!), 2) : undefined;
}

/** The dimensions of a tensor of floats that has so many of them. */
function floats(tensor: Tensor | undefined, rank: number): readonly number[] | undefined {
  return tensor?.dtype === "float32" && tensor.dims.length === rank ? tensor.dims : undefined;
}

function gemmOf(product: Node, { bias, dims }: Biased, builder: GraphBuilder): readonly Node[] {
  const [x = "", weight = ""] = product.inputs;
  const [inner = 0, width = 0] = dims;
  const before = builder.nodes.length;
  const rows = builder.op("Reshape", [x, builder.ints(-1, inner)]);
  const gemm = builder.op("Gemm", [rows, weight, bias]);
  const shape = builder.op("Concat", [builder.op("Shape", [x], { end: -1 }), builder.ints(width)], { axis: 0 });
  builder.add({ ...product, op: "Reshape", inputs: [gemm, shape] });
  return builder.nodes.slice(before);
}
