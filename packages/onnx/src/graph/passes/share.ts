import { tensorOfConstant } from "../constants.js";
import type { Attribute, Graph, Model, Node, Tensor } from "../ir.js";
import { replaceUses } from "../verbs.js";

/** Operators that give something else each time. */
const RANDOM = /^(Random|Bernoulli|Multinomial|Dropout)/;

/** More bytes than an axis, a shape or a scalar takes: what has more are weights, which keep their names. */
const SMALL = 64;

/** Constant nodes become initializers, and nodes or small constants that give the same are computed once. */
export function shareEqual(model: Model): Model {
  const { graph } = model;
  const replaced = new Map<string, string>();
  const resolve = (name: string) => replaced.get(name) ?? name;
  const initializers = shareInitializers(graph, replaced);
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const seen = new Map<string, Node>();
  const nodes = graph.nodes.filter((node) => {
    const constant = node.op === "Constant" && node.domain === "" ? tensorOfConstant(node) : undefined;
    const [name] = node.outputs;
    if (constant !== undefined && name && !outputs.has(name)) {
      initializers.add(name, constant);
      return false;
    }
    const key = keyOf(node, resolve);
    const known = key === undefined ? undefined : seen.get(key);
    if (key !== undefined && known === undefined) seen.set(key, node);
    if (known === undefined || node.outputs.some((each) => outputs.has(each))) return true;
    for (const [index, output] of node.outputs.entries()) if (output) replaced.set(output, known.outputs[index]!);
    return false;
  });
  if (nodes.length === graph.nodes.length && replaced.size === 0) return model;
  return { ...model, graph: replaceUses({ ...graph, nodes, initializers: initializers.map }, replaced) };
}

interface Shared {
  readonly map: ReadonlyMap<string, Tensor>;
  add(name: string, tensor: Tensor): void;
}

function shareInitializers(graph: Graph, replaced: Map<string, string>): Shared {
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const map = new Map<string, Tensor>();
  const seen = new Map<string, string>();
  const add = (name: string, tensor: Tensor) => {
    const key = outputs.has(name) ? undefined : tensorKey(tensor);
    const known = key === undefined ? undefined : seen.get(key);
    if (known !== undefined) replaced.set(name, known);
    else map.set(name, tensor);
    if (key !== undefined && known === undefined) seen.set(key, name);
  };
  for (const [name, tensor] of graph.initializers) add(name, tensor);
  return { map, add };
}

function tensorKey({ dtype, dims, data }: Tensor): string | undefined {
  if (data.kind !== "bytes" || data.bytes.length > SMALL) return undefined;
  return `${dtype} ${dims.join("x")} ${data.bytes.join()}`;
}

/** What a node computes, as text; undefined for one that cannot be compared. */
function keyOf(node: Node, resolve: (name: string) => string): string | undefined {
  if (RANDOM.test(node.op)) return undefined;
  const attributes = Object.entries(node.attributes).sort(([a], [b]) => (a < b ? -1 : 1));
  const parts = attributes.map(([name, attribute]) => `${name}=${attributeKey(attribute)}`);
  if (parts.some((part) => part.endsWith("=undefined"))) return undefined;
  const isThere = node.outputs.map((name) => (name ? "1" : "0")).join("");
  return JSON.stringify([node.domain, node.op, node.inputs.map(resolve), isThere, parts]);
}

function attributeKey(attribute: Attribute): string | undefined {
  if (attribute.kind === "tensor") return tensorKey(attribute.value);
  if (attribute.kind === "graph" || attribute.kind === "opaque") return undefined;
  return `${attribute.kind} ${JSON.stringify(attribute.value)}`;
}
