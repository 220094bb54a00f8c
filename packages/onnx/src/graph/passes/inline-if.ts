import { inferGraph } from "../infer/infer.js";
import type { Graph, Model, Node, Tensor } from "../ir.js";
import { freshName, identity, renameValues, sorted, valueNames } from "../verbs.js";

/** The model with every `If` whose condition is the same in every run replaced by the branch that is taken. */
export function inlineConstantIf(model: Model): Model {
  let { graph } = model;
  while (graph.nodes.some(({ op, domain }) => op === "If" && domain === "")) {
    const { known } = inferGraph(graph, model.opsets);
    const inlined = inlineOnce(graph, (name) => known.get(name)?.data[0]);
    if (inlined === graph) break;
    graph = inlined;
  }
  return graph === model.graph ? model : { ...model, graph };
}

function inlineOnce(graph: Graph, conditionOf: (name: string) => number | string | undefined): Graph {
  const names = valueNames(graph);
  const nodeNames = new Set(graph.nodes.map(({ name }) => name));
  const nodes: Node[] = [];
  const initializers = new Map(graph.initializers);
  for (const node of graph.nodes) {
    const branch =
      node.op === "If" && node.domain === "" ? branchOf(node, conditionOf(node.inputs[0] ?? "")) : undefined;
    if (branch === undefined) nodes.push(node);
    else for (const each of splice(branch, node.outputs, names, initializers)) nodes.push(named(each, nodeNames));
  }
  return nodes.length === graph.nodes.length && nodes.every((node, index) => node === graph.nodes[index])
    ? graph
    : sorted({ ...graph, nodes, initializers });
}

function branchOf(node: Node, condition: number | string | undefined): Graph | undefined {
  if (typeof condition !== "number") return undefined;
  const attribute = node.attributes[condition === 0 ? "else_branch" : "then_branch"];
  return attribute?.kind === "graph" ? attribute.value : undefined;
}

/** The nodes of a branch under names that are free around it, and the outputs of the If made by them. */
function splice(
  branch: Graph,
  outputs: readonly string[],
  names: Set<string>,
  initializers: Map<string, Tensor>,
): Node[] {
  const inside = new Set([...branch.initializers.keys(), ...branch.nodes.flatMap((node) => node.outputs)]);
  inside.delete("");
  const renamed = new Map<string, string>();
  for (const name of inside) renamed.set(name, freshName(`${outputs.find(Boolean) ?? "if"}/${name}`, names));
  const rename = (name: string) => renamed.get(name) ?? name;
  for (const [name, tensor] of branch.initializers) initializers.set(rename(name), tensor);
  const results = branch.outputs.flatMap(({ name }, index): Node[] => {
    const output = outputs[index];
    return output ? [identity(rename(name), output)] : [];
  });
  return [...branch.nodes.map((node) => renameValues(node, rename)), ...results];
}

/** The node under a name that no other has, as onnxruntime wants it; a path in it stays. */
function named(node: Node, names: Set<string>): Node {
  return node.name === "" ? node : { ...node, name: freshName(node.name, names) };
}

/** The model with an input that is always the same, as a constant: `use_cache_branch` of merged decoders, say. */
export function fixInput(model: Model, name: string, tensor: Tensor): Model {
  const { graph } = model;
  const inputs = graph.inputs.filter((input) => input.name !== name);
  if (inputs.length === graph.inputs.length) return model;
  return { ...model, graph: { ...graph, inputs, initializers: new Map([...graph.initializers, [name, tensor]]) } };
}
