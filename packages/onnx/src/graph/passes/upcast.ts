import { TYPE_CODES } from "../dtype.js";
import { fromTensor, toTensor } from "../elements/dense.js";
import type { Attribute, Attributes, DType, Graph, Model, Node, TensorType, ValueInfo } from "../ir.js";
import { freshName, mapGraphs, valueNames } from "../verbs.js";

const NARROW: ReadonlySet<DType> = new Set(["float16", "bfloat16"]);

const NARROW_CODES: ReadonlySet<number> = new Set([TYPE_CODES.float16, TYPE_CODES.bfloat16]);

/** Attributes that hold an element type. */
const TYPE_ATTRIBUTES = ["to", "dtype", "output_dtype", "softmax_precision", "stash_type"];

/**
 * The model computing in float32 wherever it computed in 16 bits, so that gradients neither underflow nor need kernels that
 * a CPU lacks. Weights and inputs stay as they are and are cast where they are taken; outputs are float32.
 */
export function upcast(model: Model): { readonly model: Model; readonly changed: boolean } {
  if (!isNarrow(model.graph)) return { model, changed: false };
  const names = valueNames(model.graph);
  return { model: { ...model, graph: upcastGraph(model.graph, names, new Map()) }, changed: true };
}

/** Whether anything in a graph is of 16 bits. */
export function isNarrow(graph: Graph): boolean {
  const types = [...graph.inputs.map(({ type }) => type), ...graph.types.values(), ...graph.initializers.values()];
  if (types.some((type) => type !== undefined && NARROW.has(type.dtype))) return true;
  return graph.nodes.some(({ attributes }) =>
    Object.values(attributes).some(
      (each) =>
        (each.kind === "tensor" && NARROW.has(each.value.dtype)) || (each.kind === "graph" && isNarrow(each.value)),
    ),
  );
}

/** @param outer the float32 value by 16-bit value of the graphs around */
function upcastGraph(graph: Graph, names: Set<string>, outer: ReadonlyMap<string, string>): Graph {
  const wide = new Map(outer);
  const before: Node[] = [];
  const upcastValue = (name: string) => {
    const result = freshName(`${name}_float32`, names);
    before.push(castNode(name, result));
    wide.set(name, result);
  };
  for (const [name, { dtype }] of graph.initializers) if (NARROW.has(dtype)) upcastValue(name);
  for (const { name, type } of graph.inputs) if (type && NARROW.has(type.dtype) && !wide.has(name)) upcastValue(name);
  const nodes = graph.nodes.flatMap((node) => upcastNode(node, names, wide));
  const narrowOutputs = graph.outputs.filter(({ type }) => type && NARROW.has(type.dtype));
  return {
    ...graph,
    nodes: [...before, ...nodes],
    outputs: graph.outputs.map((output) => (narrowOutputs.includes(output) ? asFloat(output, wide) : output)),
    types: new Map([...graph.types].map(([name, type]) => [name, wide.has(name) ? type : upcastType(type)])),
  };
}

/** Outputs are handed out in float32: nothing is gained by rounding them. */
function asFloat({ name, type }: ValueInfo, wide: ReadonlyMap<string, string>): ValueInfo {
  return { name: wide.get(name) ?? name, type: type && { ...type, dtype: "float32" } };
}

function upcastType(type: TensorType): TensorType {
  return NARROW.has(type.dtype) ? { ...type, dtype: "float32" } : type;
}

function upcastNode(node: Node, names: Set<string>, wide: Map<string, string>): readonly Node[] {
  const constant = node.op === "Constant" && node.domain === "" ? node.attributes.value : undefined;
  if (constant?.kind === "tensor" && NARROW.has(constant.value.dtype)) {
    const name = node.outputs[0]!;
    const result = freshName(`${name}_float32`, names);
    wide.set(name, result);
    return [node, castNode(name, result)];
  }
  const attributes = mapGraphs(upcastAttributes(node), (graph) => upcastGraph(graph, names, wide));
  const inputs = node.inputs.map((input) => wide.get(input) ?? input);
  return [{ ...node, inputs, attributes }];
}

function upcastAttributes(node: Node): Attributes {
  const entries = Object.entries(node.attributes).map(([name, each]): [string, Attribute] => {
    if (each.kind === "int" && TYPE_ATTRIBUTES.includes(name) && NARROW_CODES.has(each.value)) {
      return [name, { kind: "int", value: TYPE_CODES.float32 }];
    }
    if (node.op === "ConstantOfShape" && each.kind === "tensor" && NARROW.has(each.value.dtype)) {
      return [name, upcastTensor(each)];
    }
    return [name, each];
  });
  return Object.fromEntries(entries);
}

/** The one element of a ConstantOfShape as float32. */
function upcastTensor(attribute: Extract<Attribute, { kind: "tensor" }>): Attribute {
  const narrow = fromTensor(attribute.value);
  const wide = narrow && toTensor({ ...narrow, dtype: "float32" });
  return wide ? { kind: "tensor", value: wide } : attribute;
}

function castNode(input: string, output: string): Node {
  const attributes: Attributes = { to: { kind: "int", value: TYPE_CODES.float32 } };
  return { name: output, op: "Cast", domain: "", inputs: [input], outputs: [output], attributes };
}
