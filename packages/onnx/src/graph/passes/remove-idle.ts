import { constantsOf, numbersOf } from "../constants.js";
import type { Graph, Model, Node, Shape, TensorType } from "../ir.js";
import { replaceUses } from "../verbs.js";

/** What a check needs to know of values. */
interface Facts {
  type(value: string): TensorType | undefined;
  numbers(value: string): readonly number[] | undefined;
}

type IsIdle = (node: Node, facts: Facts) => boolean;

/** The output has the shape of the input. */
const keepsShape: IsIdle = ({ inputs, outputs }, { type }) =>
  sameShape(type(inputs[0]!)?.shape, type(outputs[0]!)?.shape);

function sameShape(a: Shape | undefined, b: Shape | undefined): boolean {
  return a !== undefined && b !== undefined && a.length === b.length && a.every((size, axis) => size === b[axis]);
}

const stepsForward: IsIdle = ({ inputs }, { numbers }) =>
  !inputs[4] || numbers(inputs[4])?.every((step) => step > 0) === true;

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

/**
 * The model without nodes that give their input back; one that makes an output of the graph stays.
 * @param model with types
 */
export function removeIdle(model: Model): Model {
  const { graph } = model;
  const constants = constantsOf(graph);
  const facts: Facts = {
    type: (value) => graph.types.get(value),
    numbers: (value) => numbersOf(constants.get(value)),
  };
  return { ...model, graph: without(graph, (node) => isIdle(node, facts)) };
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
