import { OnnxError } from "../base/errors.js";
import { toAttributes } from "../graph/builder.js";
import type { Graph, Model, Node, TensorType } from "../graph/ir.js";
import { sorted, valueNames } from "../graph/verbs.js";
import { type Links, linksOf } from "./links.js";
import type { Modules } from "./modules.js";

/** The output that gives the hidden states before a block. */
export function hiddenStateName(layer: number): string {
  return `hidden_states.${layer}`;
}

/**
 * The model with hidden states as further outputs: the residual stream [batch, sequence, width] before block `layer`; that before the
 * output layer's normalisation is the one after the last block. They are found by structure: the first sum behind a projection to queries.
 * @param layers negative ones count from the end: -1 is behind the last block
 * @throws OnnxError `out-of-range` for a layer that is not there, `unsupported-operator` where no sum is found
 */
export function addHiddenStates(
  model: Model,
  { modules }: Modules,
  types: ReadonlyMap<string, TensorType>,
  layers: readonly number[],
): Model {
  const links = linksOf(model.graph);
  const inputs = blockInputs(modules);
  const taken = valueNames(model.graph);
  return layers.reduce((changed, layer) => {
    const at = layer < 0 ? inputs.length + layer : layer;
    const input = inputs[at];
    if (input === undefined || !Number.isInteger(layer)) {
      const range = `Name one of 0 to ${inputs.length - 1}`;
      throw new OnnxError("out-of-range", "hiddenStates", `the model has no layer ${layer}`, range);
    }
    return giveOut(changed, residualBefore(links, input), hiddenStateName(layer), taken, types.get(input));
  }, model);
}

/** What enters each block, and the output layer. */
function blockInputs(modules: Modules["modules"]): readonly string[] {
  const of = (...roles: readonly string[]) =>
    modules.filter(({ role }) => role !== undefined && roles.includes(role)).map(({ sites }) => sites[0]!.input);
  return [...new Set([...of("q_proj", "qkv_proj"), ...of("lm_head").slice(-1)])];
}

/** Where the residual stream is, seen from behind a normalisation. */
interface Residual {
  /** The value, or the node that has it as an output which nobody takes yet. */
  readonly value: string;
  readonly skip?: Node;
}

function residualBefore(links: Links, start: string): Residual {
  const queue = [start];
  const seen = new Set<string>();
  let last = start;
  for (let value = queue.shift(); value !== undefined; value = queue.shift()) {
    const node = seen.has(value) ? undefined : links.producer(value);
    seen.add(value);
    if (node === undefined) continue;
    if (node.op.startsWith("Skip")) return { value: node.outputs[3] ?? "", skip: node };
    const inputs = node.inputs.filter((input) => input !== "" && links.constant(input) === undefined);
    if (node.op === "Add" && inputs.length === 2) return { value };
    if (node.op.startsWith("Gather")) return { value };
    last = value;
    queue.push(...inputs);
  }
  const problem = `no sum is found before ${last}`;
  throw new OnnxError("unsupported-operator", "hiddenStates", problem, "Open the model without hidden states");
}

function giveOut(
  model: Model,
  { value, skip }: Residual,
  name: string,
  taken: Set<string>,
  type: TensorType | undefined,
): Model {
  const { graph } = model;
  const source = value || freshName(`${name}.sum`, taken);
  const nodes = graph.nodes.map((node) => (node.name === skip?.name && value === "" ? withSum(node, source) : node));
  const copy: Node = {
    name: `/${name}/Identity`,
    op: "Identity",
    domain: "",
    inputs: [source],
    outputs: [name],
    attributes: toAttributes({}),
  };
  const changed: Graph = { ...graph, nodes: [...nodes, copy], outputs: [...graph.outputs, { name, type }] };
  return { ...model, graph: sorted(changed) };
}

function withSum(node: Node, sum: string): Node {
  const [first = "", second = "", third = ""] = node.outputs;
  return { ...node, outputs: [first, second, third, sum] };
}

function freshName(name: string, taken: Set<string>): string {
  const fresh = taken.has(name) ? `${name}.${taken.size}` : name;
  taken.add(fresh);
  return fresh;
}
