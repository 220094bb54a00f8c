import type { KnownInts } from "../infer/context.js";
import { inferGraph } from "../infer/infer.js";
import type { Graph, Model, Node, Shape, TensorType } from "../ir.js";
import { replaceUses } from "../verbs.js";

/** What a check needs to know of values. */
interface Facts {
  type(value: string): TensorType | undefined;
  known(value: string): KnownInts | undefined;
}

type IsIdle = (node: Node, facts: Facts) => boolean;

/** The output has the shape of the input. */
const keepsShape: IsIdle = ({ inputs, outputs }, { type }) =>
  sameShape(type(inputs[0]!)?.shape, type(outputs[0]!)?.shape);

function sameShape(a: Shape | undefined, b: Shape | undefined): boolean {
  return a !== undefined && b !== undefined && a.length === b.length && a.every((size, axis) => size === b[axis]);
}

const stepsForward: IsIdle = ({ inputs }, { known }) =>
  !inputs[4] || known(inputs[4])?.data.every((step) => typeof step === "number" && step > 0) === true;

/** When a node gives its first input back. */
const IDLE: { readonly [op: string]: IsIdle } = {
  Cast: ({ inputs, outputs }, { type }) =>
    type(inputs[0]!) !== undefined && type(inputs[0]!)?.dtype === type(outputs[0]!)?.dtype,
  Concat: ({ inputs }) => inputs.length === 1,
  Expand: keepsShape,
  Identity: () => true,
  Reshape: keepsShape,
  Slice: (node, facts) => keepsShape(node, facts) && stepsForward(node, facts),
  Squeeze: keepsShape,
  Transpose: ({ attributes }) =>
    attributes.perm?.kind === "ints" && attributes.perm.value.every((axis, index) => axis === index),
  Unsqueeze: keepsShape,
};

/** The model without nodes that give their input back; one that makes an output of the graph stays. */
export function removeIdle(model: Model): Model {
  const { graph, known } = inferGraph(model.graph, model.opsets);
  const facts: Facts = { type: (value) => graph.types.get(value), known: (value) => known.get(value) };
  return { ...model, graph: without(model.graph, (node) => isIdle(node, facts)) };
}

function isIdle(node: Node, facts: Facts): boolean {
  if (node.domain !== "" || node.outputs.length !== 1) return false;
  return Object.hasOwn(IDLE, node.op) && IDLE[node.op]!(node, facts);
}

function without(graph: Graph, isGone: (node: Node) => boolean): Graph {
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const gone = new Set(graph.nodes.filter((node) => isGone(node) && !outputs.has(node.outputs[0]!)));
  if (gone.size === 0) return graph;
  const replacements = new Map([...gone].map(({ inputs, outputs: [output] }) => [output!, inputs[0]!]));
  return replaceUses({ ...graph, nodes: graph.nodes.filter((node) => !gone.has(node)) }, replacements);
}
