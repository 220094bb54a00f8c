import { tensorOfConstant } from "../graph/constants.js";
import type { Graph, Node, Tensor } from "../graph/ir.js";
import { prune } from "../graph/verbs.js";

/** Who defines and who takes each value of a graph, and its constants. */
export interface Links {
  readonly graph: Graph;
  producer(value: string): Node | undefined;
  consumers(value: string): readonly Node[];
  /** The tensor of an initializer or of a `Constant` node. */
  constant(value: string): Tensor | undefined;
  /** Whether the graph gives the value out. */
  isOutput(value: string): boolean;
  /** Whether an output of the graph depends on a node. */
  isLive(node: Node): boolean;
  /** The shape of a value for a batch of one text of one token, where it is known. */
  shapeOf?(value: string): readonly number[] | undefined;
}

/** @param outer the graph around this one, whose constants it sees */
export function linksOf(graph: Graph, outer?: Links): Links {
  const producers = new Map<string, Node>();
  const consumers = new Map<string, Node[]>();
  for (const node of graph.nodes) {
    for (const output of node.outputs) if (output !== "") producers.set(output, node);
    for (const input of new Set(node.inputs)) {
      if (input === "") continue;
      const known = consumers.get(input);
      if (known === undefined) consumers.set(input, [node]);
      else known.push(node);
    }
  }
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const live = new Set(graph.outputs.length === 0 ? graph.nodes : prune(graph).nodes);
  return {
    graph,
    producer: (value) => producers.get(value),
    consumers: (value) => consumers.get(value) ?? [],
    constant(value) {
      const node = producers.get(value);
      if (node?.op === "Constant" && node.domain === "") return tensorOfConstant(node);
      return graph.initializers.get(value) ?? (node === undefined ? outer?.constant(value) : undefined);
    },
    isOutput: (value) => outputs.has(value),
    isLive: (node) => live.has(node),
  };
}

/** The integer attribute of a node, or its default. */
export function intOf(node: Node, name: string, byDefault: number): number {
  const attribute = node.attributes[name];
  return attribute?.kind === "int" ? attribute.value : byDefault;
}
