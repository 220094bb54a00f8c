import { OnnxError } from "../../base/errors.js";
import { GraphBuilder } from "../builder.js";
import { constantsOf } from "../constants.js";
import type { Graph, Model, Node, Tensor } from "../ir.js";
import { usesOf } from "../order.js";
import { unsupported } from "../unsupported.js";
import { identity, valueNames } from "../verbs.js";
import { type Lowering, Tools } from "./lowering.js";

export interface Lowered {
  readonly model: Model;
  readonly changed: boolean;
  /** The nodes that stayed because their lowering does not cover them, and why. */
  readonly refused: ReadonlyMap<Node, string>;
}

/** Writes nodes in simpler operators, where there is a lowering for one; the names of their outputs stay. */
export function lowerNodes(model: Model, loweringOf: (node: Node) => Lowering | undefined): Lowered {
  const { graph } = model;
  const names = valueNames(graph);
  const builder = new GraphBuilder("lowered/", (name) => names.has(name));
  const constants = constantsOf(graph);
  const taken = new Set([
    ...graph.outputs.map(({ name }) => name),
    ...graph.nodes.flatMap((node) => [...usesOf(node)]),
  ]);
  const refused = new Map<Node, string>();
  let changed = false;
  const nodes = graph.nodes.flatMap((node) => {
    const lowering = loweringOf(node);
    if (lowering === undefined) return [node];
    try {
      const lowered = lowerNode(node, lowering, { graph, constants, builder, taken });
      changed = true;
      return lowered;
    } catch (error) {
      if (!(error instanceof OnnxError && error.code === "unsupported-operator")) throw error;
      refused.set(node, error.message);
      return [node];
    }
  });
  const initializers = new Map([...graph.initializers, ...builder.initializers]);
  return changed
    ? { model: { ...model, graph: { ...graph, nodes, initializers } }, changed, refused }
    : { model, changed, refused };
}

interface Surroundings {
  readonly graph: Graph;
  readonly constants: ReadonlyMap<string, Tensor>;
  readonly builder: GraphBuilder;
  /** Values that a node or the graph's outputs take. */
  readonly taken: ReadonlySet<string>;
}

function lowerNode(node: Node, lowering: Lowering, surroundings: Surroundings): readonly Node[] {
  const { graph, constants, builder, taken } = surroundings;
  const before = builder.nodes.length;
  const typeOf = (value: string) => graph.types.get(value);
  const constantOf = (value: string) => constants.get(value) ?? builder.initializers.get(value);
  try {
    const results = lowering(new Tools({ node, builder, typeOf, constantOf }));
    const named = node.outputs.flatMap((output, i): readonly Node[] => {
      const result = results[i];
      if (result !== undefined)
        return output === "" ? [] : [{ ...identity(result, output), name: `${node.name}_${i}` }];
      if (taken.has(output)) throw unsupported(node, `no rule for its output ${i}`);
      return [];
    });
    return [...builder.nodes.slice(before), ...named];
  } finally {
    builder.nodes.splice(before);
  }
}
