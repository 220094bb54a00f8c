import type { Attribute, Attributes, Graph, Model, Node, Tensor } from "./ir.js";

/** The model with other tensors: initializers and attributes, in nested graphs and functions too. */
export function mapTensors(model: Model, map: (tensor: Tensor, where: string) => Tensor): Model {
  return {
    ...model,
    graph: mapGraph(model.graph, map),
    functions: model.functions.map((each) => ({
      ...each,
      defaults: mapAttributes(each.defaults, `function ${each.name}`, map),
      nodes: each.nodes.map((node) => mapNode(node, map)),
    })),
  };
}

type MapTensor = (tensor: Tensor, where: string) => Tensor;

function mapGraph(graph: Graph, map: MapTensor): Graph {
  const initializers = new Map(
    [...graph.initializers].map(([name, tensor]) => [name, map(tensor, `initializer ${name}`)]),
  );
  return { ...graph, initializers, nodes: graph.nodes.map((node) => mapNode(node, map)) };
}

function mapNode(node: Node, map: MapTensor): Node {
  const holds = Object.values(node.attributes).some(({ kind }) => kind === "tensor" || kind === "graph");
  return holds ? { ...node, attributes: mapAttributes(node.attributes, `node ${node.name}`, map) } : node;
}

function mapAttributes(attributes: Attributes, where: string, map: MapTensor): Attributes {
  return Object.fromEntries(Object.entries(attributes).map(([name, each]) => [name, mapAttribute(each, where, map)]));
}

function mapAttribute(attribute: Attribute, where: string, map: MapTensor): Attribute {
  if (attribute.kind === "tensor") return { kind: "tensor", value: map(attribute.value, where) };
  return attribute.kind === "graph" ? { kind: "graph", value: mapGraph(attribute.value, map) } : attribute;
}
