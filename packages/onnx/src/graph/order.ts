import { OnnxError } from "../base/errors.js";
import type { Graph, Node } from "./ir.js";

/** What nodes can take without making it, and what they have to make. */
export interface Surroundings {
  /** Inputs and initializers. */
  readonly known: ReadonlySet<string>;
  /** Values of the graphs around this one, which it may define anew. */
  readonly outer?: ReadonlySet<string>;
  /** Values that must be there in the end. */
  readonly outputs: readonly string[];
}

/**
 * The nodes in an order in which every value is defined before it is used; as they came, if they were.
 *
 * @throws OnnxError `invalid-graph` for a value that is defined twice or used without being defined, and for cycles
 */
export function sortNodes(nodes: readonly Node[], surroundings: Surroundings): readonly Node[] {
  const producers = producersOf(nodes, surroundings.known);
  const { known, outer } = surroundings;
  const isThere = (name: string) => known.has(name) || producers.has(name) || outer?.has(name) === true;
  for (const name of surroundings.outputs) if (!isThere(name)) throw unknown(name, "the graph's outputs");
  for (const node of nodes)
    for (const name of takenBy(node)) if (name !== "" && !isThere(name)) throw unknown(name, describe(node));
  return isSorted(nodes, producers) ? nodes : depthFirst(nodes, producers);
}

/** Every value that a node takes, once, in order: its inputs, and what graphs within it take from around them. */
export function usesOf(node: Node): ReadonlySet<string> {
  const uses = new Set(node.inputs);
  for (const attribute of Object.values(node.attributes)) {
    if (attribute.kind === "graph") for (const name of outerUses(attribute.value)) uses.add(name);
  }
  uses.delete("");
  return uses;
}

/** The same where it need not be once each, nor without "": most nodes hold no graph. */
function takenBy(node: Node): Iterable<string> {
  for (const name in node.attributes) if (node.attributes[name]!.kind === "graph") return usesOf(node);
  return node.inputs;
}

/** What a nested graph takes from the graphs around it. */
export function outerUses(graph: Graph): ReadonlySet<string> {
  const inside = new Set([...graph.initializers.keys(), ...graph.inputs.map(({ name }) => name)]);
  for (const { outputs } of graph.nodes) for (const name of outputs) inside.add(name);
  const uses = new Set<string>();
  for (const node of graph.nodes) for (const name of usesOf(node)) if (!inside.has(name)) uses.add(name);
  for (const { name } of graph.outputs) if (!inside.has(name)) uses.add(name);
  return uses;
}

/** How an error names a node: by its own name, or the first value that it makes, and its operator. */
export function describe({ name, op, outputs }: Node): string {
  return `node ${JSON.stringify((name || outputs.find(Boolean) || "").slice(0, 120))} (${op})`;
}

function producersOf(nodes: readonly Node[], known: ReadonlySet<string>): Map<string, number> {
  const producers = new Map<string, number>();
  for (const [index, node] of nodes.entries()) {
    for (const name of node.outputs) {
      if (name === "") continue;
      if (known.has(name) || producers.has(name)) {
        throw invalid(describe(node), `value ${JSON.stringify(name.slice(0, 120))} is defined twice`);
      }
      producers.set(name, index);
    }
  }
  return producers;
}

function isSorted(nodes: readonly Node[], producers: ReadonlyMap<string, number>): boolean {
  return nodes.every((node, index) => {
    for (const name of takenBy(node)) if ((producers.get(name) ?? -1) >= index) return false;
    return true;
  });
}

/** Depth first, without recursion: a chain of nodes may be longer than the stack. */
function depthFirst(nodes: readonly Node[], producers: ReadonlyMap<string, number>): Node[] {
  const sorted: Node[] = [];
  const state = new Uint8Array(nodes.length);
  const stack: { index: number; waiting: number[] }[] = [];
  const enter = (index: number) => {
    if (state[index] === DONE) return;
    if (state[index] === OPEN) throw invalid(describe(nodes[index]!), "it takes what is made from its own output");
    state[index] = OPEN;
    const waiting = [...usesOf(nodes[index]!)].flatMap((name) => producers.get(name) ?? []);
    stack.push({ index, waiting: waiting.reverse() });
  };
  for (const root of nodes.keys()) {
    enter(root);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const next = top.waiting.pop();
      if (next !== undefined) enter(next);
      else {
        state[top.index] = DONE;
        sorted.push(nodes[top.index]!);
        stack.pop();
      }
    }
  }
  return sorted;
}

const OPEN = 1;
const DONE = 2;

function unknown(name: string, where: string): OnnxError {
  return invalid(where, `value ${JSON.stringify(name.slice(0, 120))} is used, but nothing makes it`);
}

function invalid(where: string, problem: string): OnnxError {
  return new OnnxError(
    "invalid-graph",
    where,
    problem,
    "Export the model again, or check the pass that wrote this graph",
  );
}
