import { GraphBuilder, toAttributes } from "../builder.js";
import { constantsOf, numbersOf } from "../constants.js";
import type { Graph, Node, Tensor } from "../ir.js";
import { valueNames } from "../verbs.js";

/** A part of one axis of a value, the same in every run. */
interface Part {
  readonly node: Node;
  readonly axis: number;
  /** Of the whole axis. */
  readonly size: number;
  readonly start: number;
  readonly end: number;
}

/**
 * Slices that make up a whole as one Split, as the halves of a head that rotary embedding turns: the gradient is then a
 * Concat of theirs, and not a sum of padded ones.
 *
 * @param graph with types
 */
export function joinSlices(graph: Graph): Graph {
  const names = valueNames(graph);
  const builder = new GraphBuilder("joined/", (name) => names.has(name));
  const splits = new Map<Node, Node>();
  const joined = new Set<Node>();
  for (const parts of partsByWhole(graph)) {
    const inOrder = parts.toSorted((a, b) => a.start - b.start);
    if (!isWhole(inOrder)) continue;
    for (const { node } of parts) joined.add(node);
    splits.set(parts[0]!.node, splitOf(inOrder, builder));
  }
  if (joined.size === 0) return graph;
  const nodes = graph.nodes.flatMap((node) => splits.get(node) ?? (joined.has(node) ? [] : [node]));
  return { ...graph, nodes, initializers: new Map([...graph.initializers, ...builder.initializers]) };
}

function splitOf(parts: readonly Part[], builder: GraphBuilder): Node {
  const { node, axis } = parts[0]!;
  return {
    ...node,
    op: "Split",
    inputs: [node.inputs[0]!, builder.ints(...parts.map(({ start, end }) => end - start))],
    outputs: parts.map((part) => part.node.outputs[0]!),
    attributes: toAttributes({ axis }),
  };
}

/** The slices of each value along each axis, in the order of the graph. */
function partsByWhole(graph: Graph): readonly (readonly Part[])[] {
  const constants = constantsOf(graph);
  const wholes = new Map<string, Part[]>();
  for (const node of graph.nodes) {
    const part = node.op === "Slice" && node.domain === "" ? partOf(graph, constants, node) : undefined;
    if (part === undefined) continue;
    const key = `${part.axis} ${node.inputs[0]}`;
    wholes.set(key, [...(wholes.get(key) ?? []), part]);
  }
  return [...wholes.values()];
}

function partOf(graph: Graph, constants: ReadonlyMap<string, Tensor>, node: Node): Part | undefined {
  const shape = graph.types.get(node.inputs[0]!)?.shape;
  const [starts, ends, axes, steps = [1]] = node.inputs.slice(1).map((input) => numbersOf(constants.get(input)));
  if (shape === undefined || starts?.length !== 1 || ends?.length !== 1 || axes?.length !== 1) return undefined;
  const axis = axes[0]! < 0 ? axes[0]! + shape.length : axes[0]!;
  const size = shape[axis];
  if (typeof size !== "number" || steps[0] !== 1 || (node.inputs[4] && !constants.has(node.inputs[4])))
    return undefined;
  const at = (index: number) => Math.min(Math.max(index < 0 ? index + size : index, 0), size);
  return { node, axis, size, start: at(starts[0]!), end: at(ends[0]!) };
}

/** Whether parts, by where they start, fill an axis without a gap. */
function isWhole(parts: readonly Part[]): boolean {
  const ends = parts.map(({ end }) => end);
  const follow = parts.every(({ start, end }, i) => start === (ends[i - 1] ?? 0) && end > start);
  return parts.length > 1 && follow && ends.at(-1) === parts[0]!.size;
}
