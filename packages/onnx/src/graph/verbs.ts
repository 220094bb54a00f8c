import { OnnxError } from "../base/errors.js";
import type { Attribute, Attributes, Graph, Node, Tensor } from "./ir.js";
import { outerUses, sortNodes, usesOf } from "./order.js";

/** New nodes and constants, as a GraphBuilder collects them. */
export interface Addition {
  /** The new nodes. */
  readonly nodes: readonly Node[];
  /** Constants that the new nodes take, by name. */
  readonly initializers: ReadonlyMap<string, Tensor>;
}

/** Every name of a value in the graph, nested graphs included: what fresh names must avoid. */
export function valueNames(graph: Graph): Set<string> {
  const names = new Set<string>();
  collectNames(graph, names);
  return names;
}

function collectNames(graph: Graph, names: Set<string>): void {
  for (const { name } of graph.inputs) names.add(name);
  for (const name of graph.initializers.keys()) names.add(name);
  for (const { outputs, attributes } of graph.nodes) {
    for (const name of outputs) names.add(name);
    for (const attribute of Object.values(attributes))
      if (attribute.kind === "graph") collectNames(attribute.value, names);
  }
}

/** The node that makes each value; inputs and initializers have none. */
export function producersOf(graph: Graph): Map<string, Node> {
  return new Map(graph.nodes.flatMap((node) => node.outputs.filter(Boolean).map((name) => [name, node] as const)));
}

/** The nodes that take each value, in order; graphs within a node count as the node. */
export function consumersOf(graph: Graph): Map<string, Node[]> {
  const consumers = new Map<string, Node[]>();
  for (const node of graph.nodes) {
    for (const name of usesOf(node)) {
      const nodes = consumers.get(name);
      if (nodes === undefined) consumers.set(name, [node]);
      else nodes.push(node);
    }
  }
  return consumers;
}

/** Brings the nodes into an order in which every value is defined before it is used. @throws OnnxError `invalid-graph` */
export function sorted(graph: Graph): Graph {
  const known = new Set([...graph.inputs.map(({ name }) => name), ...graph.initializers.keys()]);
  const nodes = sortNodes(graph.nodes, { known, outputs: graph.outputs.map(({ name }) => name) });
  return nodes === graph.nodes ? graph : { ...graph, nodes };
}

/** Puts new nodes and constants into a graph, each behind what it takes. @throws OnnxError `invalid-graph` */
export function add(graph: Graph, addition: Addition): Graph {
  const initializers = new Map([...graph.initializers, ...addition.initializers]);
  return sorted({ ...graph, nodes: [...graph.nodes, ...addition.nodes], initializers });
}

/**
 * Makes whatever takes a value take another one instead, graphs within nodes included. A graph's output keeps its name: it
 * gets the new value through an Identity, and the node that made the old one makes a value that nobody takes.
 *
 * @param replacements new value by old; chains are followed
 * @param except nodes that go on taking the old values
 * @throws OnnxError `invalid-graph` for replacements that go round, or that come after what would take them
 */
export function replaceUses(
  graph: Graph,
  replacements: ReadonlyMap<string, string>,
  except: ReadonlySet<Node> = new Set(),
): Graph {
  if (replacements.size === 0) return graph;
  const resolve = resolver(replacements);
  const producers = producersOf(graph);
  const names = valueNames(graph);
  const moved = new Map<string, string>();
  const identities: Node[] = [];
  for (const name of new Set(graph.outputs.map((output) => output.name))) {
    if (resolve(name) === name) continue;
    if (producers.has(name)) moved.set(name, freshName(`${name}_replaced`, names));
    else if (names.has(name)) throw invalid(name, "it is an output of the graph and also its input or a constant");
    identities.push(identity(resolve(name), name));
  }
  const nodes = graph.nodes.map((node) => {
    const renamed = except.has(node) ? node : renameInputs(node, resolve);
    return moved.size === 0 ? renamed : renameValues(renamed, (name) => moved.get(name) ?? name);
  });
  return sorted({ ...graph, nodes: [...nodes, ...identities] });
}

/**
 * Takes out a node and lets whatever took its outputs take other values.
 *
 * @param replacements by output; an output that is used must have one
 * @throws OnnxError `invalid-graph` for an output that is used and has none
 */
export function eliminate(graph: Graph, node: Node, replacements: ReadonlyMap<string, string>): Graph {
  const rest = { ...graph, nodes: graph.nodes.filter((each) => each !== node) };
  return replacements.size === 0 ? sorted(rest) : replaceUses(rest, replacements);
}

/** Leads every use of a value through new nodes. @param result what the uses take instead @returns graph */
export function insertAfter(graph: Graph, value: string, addition: Addition, result: string): Graph {
  const grown = add(graph, addition);
  return replaceUses(grown, new Map([[value, result]]), new Set(addition.nodes));
}

/** Leaves out nodes, constants and types that no output of the graph depends on. */
export function prune(graph: Graph): Graph {
  const needed = new Set(graph.outputs.map(({ name }) => name));
  const nodes = graph.nodes
    .toReversed()
    .filter((node) => {
      if (!node.outputs.some((name) => needed.has(name))) return false;
      for (const name of usesOf(node)) needed.add(name);
      return true;
    })
    .reverse();
  const initializers = new Map([...graph.initializers].filter(([name]) => needed.has(name)));
  if (nodes.length === graph.nodes.length && initializers.size === graph.initializers.size) return graph;
  const values = new Set([
    ...initializers.keys(),
    ...graph.inputs.map(({ name }) => name),
    ...nodes.flatMap(({ outputs }) => outputs),
  ]);
  return { ...graph, nodes, initializers, types: new Map([...graph.types].filter(([name]) => values.has(name))) };
}

/** The value that stands for another in the end. */
function resolver(replacements: ReadonlyMap<string, string>): (name: string) => string {
  const resolved = new Map<string, string>();
  for (const name of replacements.keys()) {
    let end = name;
    for (let steps = 0; replacements.has(end); steps++) {
      if (steps > replacements.size) throw invalid(name, "its replacements go round");
      end = replacements.get(end)!;
    }
    resolved.set(name, end);
  }
  return (name) => resolved.get(name) ?? name;
}

/** The node with other inputs, also in the graphs within it. */
export function renameInputs(node: Node, rename: (name: string) => string): Node {
  const inputs = node.inputs.map(rename);
  const attributes = mapGraphs(node.attributes, (graph) => renameOuterUses(graph, rename));
  const isSame = attributes === node.attributes && inputs.every((name, index) => name === node.inputs[index]);
  return isSame ? node : { ...node, inputs, attributes };
}

/** The node with other inputs and outputs. */
export function renameValues(node: Node, rename: (name: string) => string): Node {
  const renamed = renameInputs(node, rename);
  const outputs = renamed.outputs.map(rename);
  return outputs.every((name, index) => name === renamed.outputs[index]) ? renamed : { ...renamed, outputs };
}

/** A nested graph that takes other values from around it. */
function renameOuterUses(graph: Graph, rename: (name: string) => string): Graph {
  const outer = outerUses(graph);
  if (![...outer].some((name) => rename(name) !== name)) return graph;
  const renameOuter = (name: string) => (outer.has(name) ? rename(name) : name);
  const passedThrough = graph.outputs.filter(({ name }) => renameOuter(name) !== name);
  return {
    ...graph,
    nodes: graph.nodes.map((node) => renameInputs(node, renameOuter)),
    outputs:
      passedThrough.length === 0
        ? graph.outputs
        : graph.outputs.map((output) => ({ ...output, name: renameOuter(output.name) })),
  };
}

/** Attributes with other graphs in them. */
export function mapGraphs(attributes: Attributes, map: (graph: Graph) => Graph): Attributes {
  if (!Object.values(attributes).some(({ kind }) => kind === "graph")) return attributes;
  const entries = Object.entries(attributes).map(([name, attribute]): [string, Attribute] => [
    name,
    attribute.kind === "graph" ? { kind: "graph", value: map(attribute.value) } : attribute,
  ]);
  const isSame = entries.every(([name, attribute]) => attribute.value === attributes[name]!.value);
  return isSame ? attributes : Object.fromEntries(entries);
}

/** A node that hands a value on under another name. */
export function identity(input: string, output: string): Node {
  return { name: output, op: "Identity", domain: "", inputs: [input], outputs: [output], attributes: {} };
}

/** A name that is not among `taken`, and then is. */
export function freshName(hint: string, taken: Set<string>): string {
  let name = hint;
  for (let count = 2; taken.has(name); count++) name = `${hint}_${count}`;
  taken.add(name);
  return name;
}

function invalid(value: string, problem: string): OnnxError {
  return new OnnxError(
    "invalid-graph",
    `value ${JSON.stringify(value)}`,
    problem,
    "Check the pass that edits this graph",
  );
}
