import type { Graph, Node, Tensor } from "../graph/ir.js";

/** Who defines and who takes each value of a graph, and its constants. */
export interface Links {
  readonly graph: Graph;
  producer(value: string): Node | undefined;
  consumers(value: string): readonly Node[];
  /** The tensor of an initializer or of a `Constant` node. */
  constant(value: string): Tensor | undefined;
  /** Whether the graph gives the value out. */
  isOutput(value: string): boolean;
}

export function linksOf(graph: Graph): Links {
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
  return {
    graph,
    producer: (value) => producers.get(value),
    consumers: (value) => consumers.get(value) ?? [],
    constant(value) {
      const attribute = producers.get(value)?.op === "Constant" && producers.get(value)!.attributes.value;
      return attribute && attribute.kind === "tensor" ? attribute.value : graph.initializers.get(value);
    },
    isOutput: (value) => outputs.has(value),
  };
}

/** The integer attribute of a node, or what it is by default. */
export function intOf(node: Node, name: string, byDefault: number): number {
  const attribute = node.attributes[name];
  return attribute?.kind === "int" ? attribute.value : byDefault;
}
