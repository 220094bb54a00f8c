import { tensorOf } from "../builder.js";
import { constantsOf } from "../constants.js";
import { symbol } from "../dim.js";
import type { Attribute, Graph, Model, Node, Tensor, ValueInfo } from "../ir.js";
import { usesOf } from "../order.js";
import { producersOf, prune, renameInputs, sorted } from "../verbs.js";
import { fixInput, inlineConstantIf } from "./inline-if.js";

/**
 * One way through a model: all of it, or what a merged decoder runs for one value of the input that chooses. Optimum's
 * `merge_decoders` puts a decoder without past keys and values and one with them into the branches of one `If` on
 * `use_cache_branch`, the weights around them.
 */
export interface Branch {
  /** What the choosing input holds; undefined where nothing chooses. */
  readonly when: boolean | undefined;
  /** Flat, and without the inputs that it does not take. */
  readonly model: Model;
}

/** The boolean input of a graph that an `If` chooses by; undefined if there is none. */
export function choiceOf({ nodes, inputs }: Graph): string | undefined {
  const conditions = new Set(nodes.filter(isIf).map((node) => node.inputs[0]));
  return inputs.find(({ name, type }) => type?.dtype === "bool" && conditions.has(name))?.name;
}

/** The branches of a model without functions, that of `false` first; the model itself if nothing chooses. */
export function branchesOf(model: Model): readonly Branch[] {
  const choice = choiceOf(model.graph);
  if (choice === undefined) return [{ when: undefined, model }];
  const [without, withPast] = [false, true].map((when) => specialised(model, choice, when)) as [Model, Model];
  return [
    { when: false, model: without },
    { when: true, model: loosened(withPast, without.graph.inputs) },
  ];
}

function specialised(model: Model, choice: string, when: boolean): Model {
  const flat = inlineConstantIf(fixInput(model, choice, tensorOf("bool", [Number(when)], [1])));
  const graph = prune(flat.graph);
  const used = new Set([...graph.nodes.flatMap((node) => [...usesOf(node)]), ...graph.outputs.map(({ name }) => name)]);
  return { ...flat, graph: { ...graph, inputs: graph.inputs.filter(({ name }) => used.has(name)) } };
}

/**
 * The model with sizes of its own for inputs that another branch takes too: a merged file says of them what holds in that branch,
 * where a mask is as long as the tokens, while it is longer behind past keys and values.
 */
function loosened(model: Model, others: readonly ValueInfo[]): Model {
  const known = new Set(others.map(({ name }) => name));
  const inputs = model.graph.inputs.map(({ name, type }): ValueInfo => {
    const shape = type?.shape?.map((dim, axis) =>
      axis > 0 && typeof dim === "string" ? symbol(`${name}:${axis}`) : dim,
    );
    return known.has(name) && type !== undefined ? { name, type: { ...type, shape } } : { name, type };
  });
  return { ...model, graph: { ...model.graph, inputs } };
}

/**
 * One model again of branches that were changed, each by itself: `whole` with their nodes in its `If`, the tensors that they share
 * and their inputs around it. Nodes of `whole` that no branch changed stay where they are, since onnxruntime
 * would fuse them with those of the branches.
 */
export function joinBranches(whole: Model, branches: readonly Branch[]): Model {
  const { graph } = whole;
  const choice = choiceOf(graph);
  if (choice === undefined) return branches[0]!.model;
  const graphs = branches.map(({ model }) => model.graph);
  const around = nodesAround(graph, choice, graphs);
  const inputs = new Map([...graphs.flatMap((each) => each.inputs), ...graph.inputs].map((each) => [each.name, each]));
  const values = new Set([...inputs.keys(), ...graph.initializers.keys(), ...around.flatMap((node) => node.outputs)]);
  const taken = new Set([...graph.outputs.map(({ name }) => name), ...around.flatMap((node) => node.inputs)]);
  const made = producersOf(graphs[0]!);
  const outputs = [...taken].filter((name) => made.has(name) && !values.has(name));
  const bodies = branches.map(({ when, model }) => bodyOf(model.graph, `${when}/`, around, values, outputs));
  const [otherwise, then] = bodies.map(({ body }): Attribute => ({ kind: "graph", value: body }));
  const attributes = { then_branch: then!, else_branch: otherwise! };
  const node: Node = { name: choice, op: "If", domain: "", inputs: [choice], outputs, attributes };
  const initializers = new Map([...graph.initializers, ...bodies.flatMap(({ lifted }) => lifted)]);
  const joined = sorted({ ...graph, inputs: [...inputs.values()], initializers, nodes: [...around, node] });
  return { ...branches[0]!.model, graph: prune(joined) };
}

/** The nodes around the one `If`, none if there are several, or if a branch has others in their place. */
function nodesAround({ nodes }: Graph, choice: string, branches: readonly Graph[]): readonly Node[] {
  const choosing = nodes.filter((node) => isIf(node) && node.inputs[0] === choice);
  const rest = nodes.filter((node) => !choosing.includes(node));
  const producers = branches.map(producersOf);
  const isSame = (node: Node) =>
    node.outputs.every((output) => producers.every((known) => (known.get(output) ?? node) === node));
  return choosing.length === 1 && rest.every(isSame) ? rest : [];
}

/** What a branch adds to the values around it, and its tensors that are to be around it too, under a prefix. */
function bodyOf(
  graph: Graph,
  prefix: string,
  around: readonly Node[],
  values: ReadonlySet<string>,
  outputs: readonly string[],
): { readonly body: Graph; readonly lifted: readonly (readonly [string, Tensor])[] } {
  const large = [...constantsOf(graph)].filter(([name, tensor]) => !values.has(name) && isLarge(tensor));
  const renamed = new Map(large.map(([name]) => [name, `${prefix}${name}`]));
  const outside = new Set(around);
  const isInside = (node: Node) => !outside.has(node) && !node.outputs.some((name) => renamed.has(name));
  const isOwn = (name: string) => !values.has(name) && !renamed.has(name);
  const body = {
    ...graph,
    inputs: [],
    nodes: graph.nodes.filter(isInside).map((node) => renameInputs(node, (name) => renamed.get(name) ?? name)),
    initializers: new Map([...graph.initializers].filter(([name]) => isOwn(name))),
    outputs: outputs.map((name) => {
      const type = graph.types.get(name);
      return { name, type: type && { ...type, shape: undefined } };
    }),
  };
  return { body, lifted: large.map(([name, tensor]) => [renamed.get(name)!, tensor] as const) };
}

/** Bytes from which on a tensor may stay in its file, which onnxruntime-web finds for tensors of the main graph only. */
const LARGE = 1024;

function isLarge({ data }: Tensor): boolean {
  const length = data.kind === "bytes" ? data.bytes.length : data.kind === "external" ? data.length : 0;
  return length >= LARGE;
}

function isIf({ op, domain }: Node): boolean {
  return op === "If" && domain === "";
}
