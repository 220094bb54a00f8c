import { OnnxError } from "../../base/errors.js";
import type { Attribute, Attributes, Graph, Model, ModelFunction, Node } from "../ir.js";
import { describe } from "../order.js";
import { freshName, identity, mapGraphs, renameValues, sorted, valueNames } from "../verbs.js";

/** Functions may call functions, but not this deep, and not so that this many nodes come of it. */
const DEEPEST = 32;
const MOST_NODES = 1_000_000;

/**
 * The model without functions of its own: each call is replaced by the function's nodes, their values under fresh names.
 *
 * @throws OnnxError `invalid-graph` for functions that call themselves, or each other without bounds
 */
export function inlineFunctions(model: Model): Model {
  if (model.functions.length === 0) return model;
  const inliner = new Inliner(model);
  const graph = sorted(inliner.graph(model.graph));
  return { ...model, graph, functions: [], opsets: opsetsOf(model) };
}

/** Versions that functions import and the model does not. */
function opsetsOf(model: Model): ReadonlyMap<string, number> {
  const own = new Set(model.functions.map(({ domain }) => domain));
  const imported = model.functions.flatMap(({ opsets }) => [...opsets].filter(([domain]) => !own.has(domain)));
  return new Map([...imported, ...model.opsets]);
}

class Inliner {
  readonly #functions: ReadonlyMap<string, ModelFunction>;
  readonly #names: Set<string>;
  readonly #nodeNames: Set<string>;
  #nodeCount = 0;

  constructor(model: Model) {
    this.#functions = new Map(model.functions.map((each) => [`${each.domain}:${each.name}`, each]));
    this.#names = valueNames(model.graph);
    this.#nodeNames = new Set(model.graph.nodes.map(({ name }) => name));
  }

  /** onnxruntime wants a name for each node, or none: nodes of a body that have none are called by their operator. */
  #nodeName(caller: string, { name, op }: Node): string {
    return freshName([caller, name || op].filter(Boolean).join("/"), this.#nodeNames);
  }

  graph(graph: Graph, depth = 0): Graph {
    return { ...graph, nodes: this.#nodes(graph.nodes, depth) };
  }

  #nodes(nodes: readonly Node[], depth: number): Node[] {
    return nodes.flatMap((node) => {
      const called = this.#functions.get(`${node.domain}:${node.op}`);
      if (called !== undefined) return this.#call(node, called, depth + 1);
      return [{ ...node, attributes: mapGraphs(node.attributes, (graph) => this.graph(graph, depth)) }];
    });
  }

  #call(node: Node, called: ModelFunction, depth: number): Node[] {
    this.#nodeCount += called.nodes.length;
    if (depth > DEEPEST || this.#nodeCount > MOST_NODES) {
      const problem = `functions call each other more than ${DEEPEST} deep, or make more than ${MOST_NODES} nodes`;
      throw new OnnxError("invalid-graph", describe(node), problem, "Export the model without recursive functions");
    }
    const names = new Map(called.inputs.map((name, index) => [name, node.inputs[index] ?? ""]));
    const passedThrough: Node[] = [];
    for (const [index, name] of called.outputs.entries()) {
      const output = node.outputs[index];
      if (!output) continue;
      if (names.has(name)) passedThrough.push(identity(names.get(name)!, output));
      else names.set(name, output);
    }
    const rename = (name: string): string => {
      if (name === "") return name;
      const known = names.get(name);
      if (known !== undefined) return known;
      const fresh = freshName(`${node.name || node.outputs[0]}/${name}`, this.#names);
      names.set(name, fresh);
      return fresh;
    };
    const given: Attributes = { ...called.defaults, ...node.attributes };
    const body = called.nodes.map((each) => {
      const renamed = renameValues({ ...each, attributes: resolve(each.attributes, given) }, rename);
      return { ...renamed, name: this.#nodeName(node.name || node.outputs.find(Boolean) || "", each) };
    });
    return this.#nodes([...body, ...passedThrough], depth);
  }
}

/** References to the function's attributes replaced by what the call gives; those that it does not give are left out. */
function resolve(attributes: Attributes, given: Attributes): Attributes {
  const entries = Object.entries(attributes).flatMap(([name, attribute]): [string, Attribute][] => {
    if (attribute.kind !== "reference") return [[name, attribute]];
    const value = Object.hasOwn(given, attribute.value) ? given[attribute.value] : undefined;
    return value === undefined ? [] : [[name, value]];
  });
  return mapGraphs(Object.fromEntries(entries), (graph) => ({
    ...graph,
    nodes: graph.nodes.map((node) => ({ ...node, attributes: resolve(node.attributes, given) })),
  }));
}
